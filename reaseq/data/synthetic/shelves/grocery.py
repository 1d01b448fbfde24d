"""Grocery."""

from reaseq.data.synthetic.shelves.shelf import parse

SHELF = parse(
    "Grocery",
    "Amber Mill, Bellavita, Fieldgate, Green Larder, Harvest Row, "
    "Honest Pod, Little Orchard, Roastery 9, Sunhill, True Grain",
    """
    [Pantry]
    qualities: Organic, Wholegrain, Fairtrade, Stone-Ground, Unsweetened, Classic
    variants: 250 g, 500 g, 1 kg, Pack of 6
    Strong White Bread Flour; 2-7; baking@0.2
    Instant Dried Yeast; 2-6; baking@0.3
    Madagascar Vanilla Extract; 5-16; baking@0.4
    Dark Couverture Chocolate; 5-18; baking@0.5
    Single-Origin Whole Beans; 8-24; coffee@0.3
    Barista Oat Drink; 2-5; coffee@0.5 vegan@0.4
    Paper Filter Cones; 3-8; coffee@0.4
    Firm Silken Tofu; 2-6; vegan@0.2
    Nutritional Yeast Flakes; 4-10; vegan@0.3
    Red Lentils; 2-6; vegan@0.3
    B12 Drops; 6-16; vegan@0.5
    Chickpea Pasta; 2-6; vegan@0.5
    Olives and Antipasti Jar; 4-12; hosting@0.5
    Sparkling Elderflower Cordial; 3-9; hosting@0.6
    Cheese Cracker Assortment; 4-10; hosting@0.6
    Sugared Almonds Favours; 8-25; wedding@0.7
    Tomato Passata; 2-5
    Basmati Rice; 2-8
    Peanut Butter; 3-8
    Orange Marmalade; 2-7
    Corn Flakes; 2-6
    Dark Roast Instant Granules; 3-9
    [Nutrition & Little Ones]
    qualities: Natural, Lemon, Berry, Chocolate, Unflavoured
    variants: Single, Box of 12, Box of 24, 900 g
    Energy Gels; 10-32; marathon@0.6
    Electrolyte Tablets; 6-16; marathon@0.5 cycling@0.5 pollen@0.9
    Carbohydrate Loading Drink; 12-30; marathon@0.9
    Whey Protein; 18-60; strength@0.3
    Creatine Monohydrate; 12-35; strength@0.4
    Protein Bars; 12-30; strength@0.5 cycling@0.5
    Infant Formula; 12-30; baby@0.3
    Fruit Purée Pouches; 6-16; baby@0.8
    Folic Acid Tablets; 6-14; baby@0.0
    Fenugreek Nursing Tea; 5-12; baby@0.3
    Camomile and Valerian Tea; 3-9; rest@0.2
    Melatonin Gummies; 8-20; rest@0.4
    Local Raw Honey; 5-15; pollen@0.3
    Quercetin Capsules; 10-26; pollen@0.4
    Freeze-Dried Trail Meals; 8-24; camping@0.5
    Jerky Snack Sticks; 5-14; camping@0.6 fishing@0.5 ski@0.6
    Hot Chocolate Sachets; 4-10; ski@0.7
    Raisin Snack Boxes; 3-8; school@0.5
    Vitamin D Drops; 5-14
    Sparkling Water; 3-8
    Microwave Popcorn; 3-8; cinema@0.6
    Energy Drink Cans; 6-20; gaming@0.5
    Milk Chocolate Bar; 2-5
    Salted Crisps; 2-5
    Green Tea Bags; 3-9; yoga@0.6
    """,
)
