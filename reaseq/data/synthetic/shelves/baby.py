"""Baby and kids."""

from reaseq.data.synthetic.shelves.shelf import parse

SHELF = parse(
    "Baby & Kids",
    "Bumbleberry, Cubby & Co, Dotti, First Acorn, Kikidoo, Little Otter, "
    "Mellow Moon, Nestlings, Pip & Fern, Tumbletoes",
    """
    [Nursery]
    qualities: Organic, Soft, Wooden, Foldable, Washable, Quiet
    variants: Grey, Sage, Cream, Sky Blue, Set of 2
    Crib Mobile; 15-50; baby@0.1
    Video Monitor for the Crib; 60-180; baby@0.1
    Muslin Swaddle Blankets; 12-35; baby@0.1
    Changing Table Pad; 18-45; baby@0.1
    White Noise Night Light; 15-45; baby@0.4 rest@0.5
    Stair Safety Gate; 30-80; baby@0.9 puppy@0.1
    Cabinet Child Locks; 8-20; baby@0.95
    [Feeding & Care]
    qualities: BPA-Free, Silicone, Anti-Colic, Gentle, Easy-Clean
    variants: Newborn, 0-6 Months, 6-12 Months, Pack of 3
    Feeding Bottles; 10-35; baby@0.2
    Bottle Steriliser; 30-80; baby@0.15
    Size 1 Diapers; 12-40; baby@0.2
    Diaper Bin Refills; 10-25; baby@0.4
    Teething Ring; 5-15; baby@0.6
    Weaning Spoon Set; 6-16; baby@0.8
    Drool Bibs; 7-18; baby@0.6
    Foldable High Chair; 50-140; baby@0.8
    [Out & About]
    qualities: Lightweight, Padded, Compact, All-Terrain, Breathable
    variants: Black, Navy, Olive, Charcoal
    Lie-Flat Stroller; 150-500; baby@0.05
    Infant Car Seat; 90-280; baby@0.0
    Soft Carrier Wrap; 30-110; baby@0.3
    Swim Diapers for Toddlers; 8-18; beach@0.4
    Inflatable Armbands; 6-14; beach@0.4
    Children's Snow Mittens; 10-28; ski@0.4
    Kids First Rod Kit; 15-35; fishing@0.5
    [Desk & Playroom]
    qualities: Colourful, Ergonomic, Washable, Non-Toxic, Personalised
    variants: Blue Dinosaurs, Rainbow, Space, Forest Animals
    Child's Backpack; 18-50; school@0.2
    Pencil Case with Stationery; 8-22; school@0.3
    Lunch Box with Compartments; 10-25; school@0.4
    Name Labels for Clothes; 6-14; school@0.5
    Multiplication Flash Cards; 6-15; school@0.7
    Ring Bearer Outfit; 25-60; wedding@0.6
    Building Blocks; 12-50
    Plush Rabbit; 8-25
    Wooden Train Set; 18-60
    Washable Finger Paint; 7-18
    Jigsaw Puzzle for Children; 8-20
    """,
)
