"""Pet supplies."""

from reaseq.data.synthetic.shelves.shelf import parse

SHELF = parse(
    "Pet Supplies",
    "Aquaterra, Barkwell, Cosy Paws, Finley, Furbelow, Good Hound, Merrytail, Reefline, Tailwind, Whiskerby",
    """
    [Dogs]
    qualities: Durable, Chew-Proof, Soft, Natural, Washable, Grain-Free
    variants: Small Breed, Medium Breed, Large Breed, Pack of 2
    Absorbent House-Training Pads; 12-35; puppy@0.1
    Wire Crate with Tray; 35-110; puppy@0.1
    Rubber Chew Toy; 6-16; puppy@0.3
    Adjustable Chest Harness; 12-35; puppy@0.4
    Treat Pouch with Clicker; 8-18; puppy@0.4
    Slow-Feed Bowl; 8-20; puppy@0.5
    Junior Dry Dog Food; 15-60; puppy@0.3
    Retractable Leash; 10-30; puppy@0.5
    Bite-Proof Plush Toy; 7-18; puppy@0.6
    Dog Car Seat Cover; 18-45; puppy@0.7 camping@0.4
    Adult Dog Biscuits; 5-15
    Dog Shampoo; 6-16
    Waste Bag Refills; 5-14; puppy@0.4
    [Cats]
    qualities: Sisal, Plush, Natural, Odour-Control, Quiet, Interactive
    variants: Small, Large, Grey, Pack of 6
    Self-Cleaning Litter Tray; 30-150; kitten@0.1
    Clumping Litter; 8-25; kitten@0.2
    Sisal Scratching Post; 18-60; kitten@0.2
    Feather Wand Toy; 4-12; kitten@0.3
    Junior Wet Cat Food; 8-30; kitten@0.3
    Window Perch Hammock; 14-32; kitten@0.6
    Carrier Bag for Vet Visits; 18-45; kitten@0.1
    Catnip Mice; 4-10; kitten@0.5
    Calming Pheromone Diffuser; 15-35; kitten@0.4 puppy@0.4 moving@0.6
    Adult Cat Kibble; 8-35
    [Fish & Small Animals]
    qualities: Silent, Energy-Saving, Natural, Compact, Easy-Clean
    variants: 30 Litre, 60 Litre, 120 Litre, Pack of 2
    Glass Tank with Lid; 40-180; aquarium@0.1
    Canister Water Filter; 30-120; aquarium@0.15
    Submersible Heater; 14-40; aquarium@0.2
    Water Test Strips; 8-20; aquarium@0.4
    Live-Plant Substrate; 12-30; aquarium@0.3
    Driftwood Ornament; 10-28; aquarium@0.5
    Tropical Flake Food; 5-14; aquarium@0.5
    Algae Scraper; 6-16; aquarium@0.7
    Hamster Wheel; 8-20
    Bird Seed Mix; 6-18; garden@0.7
    """,
)
