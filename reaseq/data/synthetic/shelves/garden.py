"""Garden and tools."""

from reaseq.data.synthetic.shelves.shelf import parse

SHELF = parse(
    "Garden & Tools",
    "Bramble & Sons, Drayton, Forgewell, Grünwerk, Hartley, Ironbark, Oakhurst, Rowan Tools, Thornbury, Workmate Pro",
    """
    [Growing]
    qualities: Organic, Heirloom, Weatherproof, Ergonomic, Peat-Free, Galvanised
    variants: Small, Large, Pack of 5, 10 Litre, 40 Litre
    Tomato Seeds; 3-8; garden@0.1
    Seedling Propagator Tray; 10-28; garden@0.15
    Potting Compost; 6-18; garden@0.2
    Raised Planter Bed; 30-110; garden@0.2
    Bypass Pruning Shears; 12-40; garden@0.4
    Soaker Hose; 15-45; garden@0.5
    Slug Barrier Tape; 6-14; garden@0.6
    Lawn Feed; 8-22; garden@0.5
    Weeding Fork; 8-22; garden@0.4
    Liquid Plant Food for Ponds and Tanks; 6-15; aquarium@0.6
    Herb Planter for the Windowsill; 10-25; vegan@0.5 baking@0.7
    Cat-Safe Grass Kit; 4-10; kitten@0.6
    Patio Heater; 60-160; hosting@0.4
    Charcoal Barbecue; 40-200; hosting@0.3 camping@0.6
    Outdoor Dining Table; 80-320; hosting@0.2
    Solar Path Lights; 14-40; hosting@0.5 wedding@0.5
    Flower Pot; 5-22
    [Decorating & Repair]
    qualities: Professional, Low-Odour, Heavy-Duty, Quick-Dry, Fine-Finish
    variants: White, Stone Grey, 1 Litre, 5 Litre, Set of 10
    Interior Matt Paint; 14-45; renovation@0.3 moving@0.5
    Roller and Tray Set; 8-20; renovation@0.3
    Masking Tape; 4-10; renovation@0.3
    Plaster Filler; 5-14; renovation@0.2
    Tile Adhesive; 10-28; renovation@0.5
    Laminate Floor Cutter; 35-110; renovation@0.5
    Orbital Sander; 30-120; renovation@0.2
    Dust Sheets; 5-14; renovation@0.25 moving@0.3
    [Tools & Hardware]
    qualities: Cordless, Magnetic, Compact, Hardened Steel, Rubber-Grip
    variants: 12 V, 18 V, Set of 6, Set of 24, Red
    Combi Drill; 45-180; renovation@0.1 moving@0.7
    Spirit Level; 8-28; renovation@0.4 moving@0.75
    Furniture Dolly; 18-50; moving@0.3
    Shoulder Lifting Straps; 12-30; moving@0.3
    Rawl Plug Assortment; 5-14; moving@0.75 renovation@0.6
    Cable Management Trunking; 8-20; office@0.5 gaming@0.6 cinema@0.5
    Wheel Truing and Repair Stand; 35-110; cycling@0.6
    Allen Key Multi-Tool; 8-24; cycling@0.4
    Roof Box Straps; 10-25; ski@0.4 camping@0.3
    Head Torch; 12-40; camping@0.4 fishing@0.5 marathon@0.6
    Rod Holder Ground Spikes; 10-24; fishing@0.5
    Screwdriver Set; 10-35
    LED Light Bulbs; 5-18
    Extension Lead; 8-22
    Super Glue; 3-8
    """,
)
