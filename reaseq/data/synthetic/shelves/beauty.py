"""Beauty and personal care."""

from reaseq.data.synthetic.shelves.shelf import parse

SHELF = parse(
    "Beauty & Personal Care",
    "Avelle, Botanika, Calmora, Derma Nord, Elune, Fjordlab, Lumière & Co, Mirabel, Nuvé, Oatwell, Purely, Saltwind",
    """
    [Skin Care]
    qualities: Gentle, Hydrating, Unscented, Nourishing, Calming, Lightweight
    variants: 50 ml, 100 ml, 200 ml, Travel Size, Pack of 2
    Micellar Cleansing Water; 6-18; skin@0.1
    Ceramide Barrier Cream; 12-40; skin@0.2
    Perfume-Free Face Moisturiser; 10-35; skin@0.3
    Colloidal Oat Body Lotion; 7-20; skin@0.5 baby@0.5
    Redness Relief Serum; 14-45; skin@0.6
    Zinc Diaper Ointment; 5-14; baby@0.3
    Stretch Mark Oil; 10-28; baby@0.0
    Lanolin Nursing Balm; 7-16; baby@0.2
    SPF 50 Sun Lotion; 9-25; beach@0.4
    Aloe After-Sun Gel; 6-15; beach@0.9
    Cold Wind Protection Cream; 8-20; ski@0.5
    SPF 30 Lip Balm; 3-9; ski@0.6 camping@0.5
    Hydrogel Sheet Mask Set; 8-20; wedding@0.6
    Retinol Night Serum; 15-60
    Clay Face Mask; 8-22
    Foaming Face Wash; 5-16
    [Hair Care]
    qualities: Nourishing, Silicone-Free, Lightweight, Coconut, Argan, Protein
    variants: 250 ml, 400 ml, Family Size, Duo Pack
    Sulfate-Free Shampoo; 8-22; curls@0.1 skin@0.6
    Leave-In Conditioner; 8-24; curls@0.2
    Wide-Tooth Detangling Comb; 4-12; curls@0.3
    Coil Defining Gel; 7-20; curls@0.4
    Hair Dryer Diffuser Attachment; 9-25; curls@0.5
    Deep Conditioning Hair Mask; 9-28; curls@0.7
    Pearl Updo Hairpin Set; 6-20; wedding@0.7
    Dry Shampoo; 5-14
    Volumising Mousse; 5-15
    Anti-Dandruff Shampoo; 5-14
    [Makeup]
    qualities: Matte, Dewy, Long-Wear, Satin, Buildable, Vegan
    variants: Ivory, Beige, Rose, Warm Honey, Deep Cocoa
    24-Hour Foundation; 14-45; wedding@0.6
    Waterproof Mascara; 8-26; wedding@0.7 beach@0.4
    Makeup Setting Spray; 8-24; wedding@0.8
    Sheer Nude Nail Lacquer; 4-14; wedding@0.8
    Liquid Lipstick; 6-22
    Eyeshadow Palette; 12-48
    Brow Pencil; 5-16
    [Body & Wellness]
    qualities: Herbal, Soothing, Cooling, Natural, Extra Strength
    variants: 75 ml, 150 ml, 300 ml, Pack of 3
    Anti-Chafing Balm; 6-16; marathon@0.5 cycling@0.5
    Blister Plasters; 4-11; marathon@0.5 camping@0.6
    Magnesium Bath Flakes; 8-20; marathon@0.7 rest@0.4
    Muscle Rub Gel; 6-18; strength@0.4 marathon@0.8
    Lavender Pillow Mist; 7-18; rest@0.2
    Saline Nasal Rinse; 6-16; pollen@0.1
    Soothing Eye Drops; 6-15; pollen@0.3
    Mosquito Repellent Spray; 5-14; camping@0.5 fishing@0.4
    Heavy-Duty Hand Scrub; 5-13; garden@0.6 renovation@0.5
    Refillable Toiletry Bottles; 6-15; beach@0.3
    Deodorant Stick; 3-9
    Electric Toothbrush; 20-90
    Fizzing Bath Salts; 6-18
    Eau de Toilette; 20-80
    """,
)
