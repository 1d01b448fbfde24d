"""Fashion."""

from reaseq.data.synthetic.shelves.shelf import parse

SHELF = parse(
    "Fashion",
    "Alba Studio, Bergen Knit, Coast & Cotton, Delphine, Fable, Harrow, Lindqvist, Maris, Oxbow, Tailor Row, Wildmoor",
    """
    [Clothing]
    qualities: Cotton, Merino, Stretch, Breathable, Relaxed-Fit, Linen
    variants: Size S, Size M, Size L, Size XL, Navy
    Maternity Leggings; 14-40; baby@0.0
    Nursing Bra; 16-45; baby@0.15
    Moisture-Wicking Running Singlet; 16-50; marathon@0.3
    Calf Compression Sleeves; 12-35; marathon@0.5
    High-Waisted Studio Leggings; 20-80; yoga@0.2
    Sweat-Wicking Tank Top; 12-35; strength@0.3 yoga@0.4
    Reflective Rain Jacket; 35-130; cycling@0.3
    Padded Shorts; 20-70; cycling@0.4
    Thermal Base Layer; 20-70; ski@0.3 camping@0.4
    Insulated Snow Trousers; 45-160; ski@0.2
    Loose Linen Shirt; 20-60; beach@0.3
    Bikini; 18-60; beach@0.2
    Waders; 50-160; fishing@0.3
    Multi-Pocket Vest; 20-60; fishing@0.4 photo@0.5
    Seamless Cotton Underwear; 10-35; skin@0.4
    Bamboo Pyjamas; 22-60; rest@0.4 skin@0.5
    Painter's Overalls; 18-45; renovation@0.2
    Children's Polo Shirts; 8-25; school@0.3
    Video-Call Blazer; 35-120; office@0.5
    Lace Bridal Gown; 150-900; wedding@0.2
    Three-Piece Suit; 110-400; wedding@0.4
    Crew-Neck T-Shirt; 8-30
    Slim Jeans; 25-90
    Hooded Sweatshirt; 22-65
    Wool Sweater; 30-110
    [Shoes & Accessories]
    qualities: Leather, Waterproof, Classic, Handmade, Soft, UV-Protective
    variants: Black, Brown, One Size, EU 38, EU 42
    Satin Bonnet; 7-20; curls@0.4
    Microfibre Hair Turban; 7-18; curls@0.3
    Wide-Brim Straw Hat; 14-40; beach@0.4 garden@0.6
    Flip-Flops; 8-30; beach@0.3
    Wellington Boots; 20-70; garden@0.4 puppy@0.5
    Waterproof Hiking Boots; 60-190; camping@0.2
    Wraparound Sunglasses; 14-60; pollen@0.5 cycling@0.5
    Veil with Comb; 18-70; wedding@0.5
    Satin Court Shoes; 30-110; wedding@0.5
    Heated Gloves; 35-110; ski@0.4
    Padded Camera Strap; 12-45; photo@0.4
    Blue-Light Glasses; 12-40; gaming@0.5 office@0.6
    Bib Apron; 14-35; baking@0.4 hosting@0.5
    Sheepskin Slippers; 18-60; cinema@0.6 rest@0.6
    Barefoot Grip Socks; 8-20; yoga@0.3
    Ankle Socks; 5-16
    Leather Belt; 14-50
    Canvas Tote; 8-28
    White Trainers; 35-110
    Wool Scarf; 14-50
    """,
)
