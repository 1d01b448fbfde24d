"""Sports and outdoors."""

from reaseq.data.synthetic.shelves.shelf import parse

SHELF = parse(
    "Sports & Outdoors",
    "Altivo, Bergsund, Cadence, Drumlin, Fellrunner, Kestrel Peak, Northbank, Ridgeway, Strider, Tarn, Velora",
    """
    [Running & Fitness]
    qualities: Lightweight, Cushioned, Non-Slip, Adjustable, Reflective, Quick-Dry
    variants: Small, Medium, Large, Black, Neon Yellow
    Long-Distance Running Shoes; 60-180; marathon@0.1
    Hydration Running Vest; 35-110; marathon@0.5
    Foam Roller; 14-40; marathon@0.4 yoga@0.5 strength@0.5
    Race Number Belt; 6-15; marathon@0.9
    Stopwatch Armband; 10-25; marathon@0.3
    Adjustable Dumbbells; 50-260; strength@0.1
    Kettlebell; 20-70; strength@0.3
    Doorway Pull-Up Bar; 20-45; strength@0.4
    Weightlifting Belt; 18-60; strength@0.6
    Resistance Bands; 10-30; strength@0.3 yoga@0.6
    Natural Rubber Exercise Mat; 18-80; yoga@0.1
    Cork Stretching Blocks; 10-24; yoga@0.3
    Meditation Cushion; 20-50; yoga@0.6 rest@0.6
    Skipping Rope; 6-18
    Gym Towel; 6-16
    Tennis Racket; 30-140
    Football; 10-35
    [Trail & Water]
    qualities: Waterproof, Ultralight, Compact, Insulated, Packable, Four-Season
    variants: 2 Person, 20 Litre, 40 Litre, Olive, Orange
    Dome Tent; 60-280; camping@0.1
    Down Mummy Bag; 50-220; camping@0.2
    Gas Stove for Backpackers; 20-70; camping@0.3
    Inflatable Ground Mat; 22-90; camping@0.2
    Trekking Poles; 20-80; camping@0.4
    Water Filter Straw; 15-40; camping@0.5
    Telescopic Spinning Rod; 25-110; fishing@0.1
    Tackle Box; 15-45; fishing@0.2
    Soft Plastic Lures; 6-18; fishing@0.4
    Landing Net; 14-40; fishing@0.5
    Snorkel Set; 18-55; beach@0.5
    Sand-Anchor Parasol; 20-50; beach@0.3
    Quick-Dry Swim Towel; 10-28; beach@0.4
    Picnic Cooler; 18-70; beach@0.5 hosting@0.6
    [Wheels & Snow]
    qualities: Ventilated, Sturdy, Anti-Fog, High-Visibility, Shockproof
    variants: One Size, Small, Large, Matt Black, White
    Commuter Helmet; 30-110; cycling@0.1
    Steel D-Lock; 20-80; cycling@0.2
    Rear Pannier Bag; 30-90; cycling@0.3
    USB Front and Rear Lights; 15-50; cycling@0.2
    Tyre Repair Kit; 6-16; cycling@0.6
    Mudguard Set; 12-35; cycling@0.5
    Snow Goggles; 25-120; ski@0.2
    Avalanche Transceiver; 150-350; ski@0.4
    Boot Bag; 20-60; ski@0.4
    Edge Sharpening Kit; 15-45; ski@0.6
    Folding Outdoor Chair; 15-50; fishing@0.5 camping@0.4
    """,
)
