"""Books and film."""

from reaseq.data.synthetic.shelves.shelf import parse

SHELF = parse(
    "Books & Film",
    "Anchor Lane Press, Blue Heron Books, Castle Street, Elm House, "
    "Foxglove, Lantern Films, Meridian, Old Harbour, Paper Crane",
    """
    [Guides & Know-How]
    qualities: The Complete, The Illustrated, The Beginner's, The Essential, The Little, The Modern
    variants: Paperback, Hardcover, Spiral-Bound, 2nd Edition
    Guide to the First Twelve Months of Parenthood; 10-28; baby@0.1
    Name Dictionary for Parents-to-Be; 7-18; baby@0.0
    26-Mile Plan and Log Book; 9-24; marathon@0.1
    Removal Day Checklist Planner; 6-15; moving@0.05
    Handbook of Eczema-Friendly Living; 10-24; skin@0.3
    Vegetable Grower's Almanac; 9-26; garden@0.1
    Manual of Raising a Well-Behaved Young Dog; 9-24; puppy@0.1
    Book of Feline Behaviour; 9-22; kitten@0.2
    Guide to Working Remotely; 9-24; office@0.3
    Wild Pitches and Trails Atlas; 11-28; camping@0.1
    Island-Hopping Travel Guide; 11-26; beach@0.1
    Off-Piste Routes of the Alps; 14-35; ski@0.2
    Sourdough and Pastry Handbook; 12-35; baking@0.1
    Barista's Craft Manual; 11-28; coffee@0.2
    Ceremony and Speeches Planner; 9-24; wedding@0.1
    Spelling and Sums Workbook; 5-14; school@0.5
    Atlas of Asanas; 11-30; yoga@0.2
    Barbell Programme Handbook; 11-28; strength@0.2
    Urban Bike Maintenance Manual; 10-25; cycling@0.3
    Guide to Beating Insomnia; 9-22; rest@0.1
    Antihistamine-Free Living Guide; 9-20; pollen@0.5
    Method for Waves and Coils; 9-22; curls@0.2
    Meat-Free Weeknight Cookbook; 11-30; vegan@0.1
    Composition and Exposure Handbook; 12-35; photo@0.2
    Restoring Old Houses Manual; 14-38; renovation@0.1
    Guide to Building a PC; 10-25; gaming@0.2
    Three-Course Menus Cookbook; 13-38; hosting@0.1
    Angler's Knots and Rigs; 8-20; fishing@0.2
    Planted Tank Encyclopedia; 13-36; aquarium@0.1
    [Fiction & Film]
    qualities: Award-Winning, Bestselling, Classic, Collector's, Illustrated
    variants: Paperback, Hardcover, Blu-ray, DVD, Audiobook
    Ocean Documentary Series; 10-30; aquarium@0.6 cinema@0.5
    Director's Cut Box Set; 18-60; cinema@0.3
    Silent Era Film Collection; 14-45; cinema@0.5
    Bedtime Story Collection; 7-20; baby@0.9 rest@0.7
    Fantasy Adventure Strategy Guide; 10-28; gaming@0.4
    Mountain Expedition Memoir; 8-20; ski@0.5 camping@0.6
    Crime Novel; 6-18
    Historical Novel; 6-18
    Science-Fiction Trilogy; 9-28
    Romantic Comedy; 6-18
    Biography; 8-24
    Poetry Anthology; 6-16
    Political Thriller; 6-18
    Nature Documentary; 8-22
    """,
)
