"""Home and kitchen."""

from reaseq.data.synthetic.shelves.shelf import parse

SHELF = parse(
    "Home & Kitchen",
    "Alder & Pine, Brightnook, Casa Lina, Domus, Everhearth, Halden, "
    "Kettlewell, Loft & Line, Norrsken, Quillstone, Stonemill",
    """
    [Kitchen]
    qualities: Stainless Steel, Non-Stick, Ceramic, Cast Iron, Silicone, Dishwasher-Safe
    variants: Small, Medium, Large, Set of 3, Black
    Stand Mixer; 90-350; baking@0.1
    Springform Cake Tin; 10-28; baking@0.2
    Proofing Basket; 12-28; baking@0.4
    Digital Kitchen Scale; 10-30; baking@0.2 coffee@0.4 vegan@0.3
    Piping Nozzle Set; 8-22; baking@0.6
    Burr Grinder; 35-180; coffee@0.2
    Gooseneck Pour-Over Kettle; 30-90; coffee@0.3
    Espresso Machine; 110-600; coffee@0.1
    Milk Frothing Jug; 10-28; coffee@0.5
    High-Speed Blender; 50-220; vegan@0.2 strength@0.3
    Tofu Press; 12-30; vegan@0.3
    Nut Milk Strainer; 8-18; vegan@0.5
    Serving Platter; 15-45; hosting@0.3
    Wine Glasses; 14-60; hosting@0.3
    Carving Knife; 18-80; hosting@0.5
    Cloth Napkins; 10-28; hosting@0.6 wedding@0.5
    Salad Spinner; 12-30
    Frying Pan; 18-70
    Food Storage Boxes; 12-35; moving@0.8
    Chef's Knife; 20-110
    [Bedroom & Bath]
    qualities: Soft, Breathable, Bamboo, Weighted, Cotton, Hypoallergenic
    variants: Single, Double, King Size, White, Dove Grey
    Memory Foam Pillow; 20-70; rest@0.2
    Weighted Blanket; 35-110; rest@0.3
    Blackout Curtains; 20-65; rest@0.4 baby@0.2 cinema@0.4
    Dust-Mite Mattress Cover; 20-60; pollen@0.4
    Silk Pillowcase; 15-50; curls@0.5 skin@0.6
    Fragrance-Free Laundry Liquid; 8-18; skin@0.3 baby@0.2
    Mattress in a Box; 180-600; moving@0.7
    Shower Curtain; 10-28; moving@0.7
    Bath Towels; 14-45
    Duvet Cover Set; 25-80
    [Living & Storage]
    qualities: Modern, Sturdy, Foldable, Rustic, Space-Saving, Minimalist
    variants: White, Oak, Walnut, Black, Pack of 4
    Corrugated Cardboard Boxes; 15-45; moving@0.1
    Bubble Wrap Roll; 8-22; moving@0.1
    Packing Tape Dispenser; 6-15; moving@0.15
    Flat-Pack Bookcase; 40-140; moving@0.8 office@0.6
    Curtain Rod; 12-35; moving@0.7
    Height-Adjustable Desk; 150-480; office@0.2
    Ergonomic Swivel Chair; 90-380; office@0.1
    Desk Drawer Organiser; 10-25; office@0.6 school@0.5
    Air Purifier with HEPA Filter; 60-240; pollen@0.2
    Pet Hair Vacuum Cleaner; 80-300; puppy@0.7 kitten@0.6
    Recliner Armchair; 150-500; cinema@0.4
    Popcorn Maker; 25-70; cinema@0.6
    Fairy Lights; 8-25; wedding@0.4 hosting@0.5
    Place Card Holders; 8-20; wedding@0.6
    Picture Frame; 8-30; photo@0.8
    Scented Candle; 8-30
    Throw Cushion; 10-30
    Laundry Basket; 12-35
    Wall Clock; 12-45
    """,
)
