"""Electronics."""

from reaseq.data.synthetic.shelves.shelf import parse

SHELF = parse(
    "Electronics",
    "Axiom, Bitforge, Corelight, Elektra, Hexa, Lumen Labs, Nimbus, Orbit, Pixelnaut, Solenne, Voltaic",
    """
    [Computing & Desk]
    qualities: Wireless, Ergonomic, USB-C, Low-Latency, Backlit, Silent
    variants: Black, White, 27 inch, 34 inch, 1 m
    Webcam with Privacy Shutter; 30-110; office@0.3
    Noise-Cancelling Headset; 40-220; office@0.3
    Docking Station; 50-200; office@0.2
    Laptop Riser; 18-50; office@0.4
    Ultrawide Monitor; 200-600; office@0.2 gaming@0.2
    Mechanical Keyboard; 45-170; gaming@0.3
    High-DPI Mouse; 25-90; gaming@0.3
    Graphics Card; 250-900; gaming@0.1
    RGB Headset Stand; 18-45; gaming@0.6
    Console Controller; 35-75; gaming@0.4
    Student Laptop; 280-700; school@0.1
    Scientific Calculator; 12-35; school@0.4
    Wi-Fi Mesh Router; 80-260; moving@0.9 office@0.3
    USB Flash Drive; 6-22
    Inkjet Printer; 50-160; school@0.5
    [Photo, Sound & Vision]
    qualities: Portable, 4K, Carbon-Fibre, Compact, Fast, Weather-Sealed
    variants: Black, Silver, 64 GB, 128 GB, 50 mm
    Mirrorless Camera Body; 400-1500; photo@0.1
    Prime Lens; 120-600; photo@0.3
    Travel Tripod; 30-150; photo@0.3
    High-Speed Memory Card; 14-60; photo@0.2
    Neutral Density Filter Kit; 20-70; photo@0.5
    Ring Light; 20-60; photo@0.6 office@0.6
    Action Camera; 90-320; ski@0.3 cycling@0.5 beach@0.5
    Full-HD Projector; 120-500; cinema@0.1
    Soundbar with Subwoofer; 90-400; cinema@0.2
    HDMI Cable; 6-25; cinema@0.3 gaming@0.4
    Bluetooth Speaker; 20-120; hosting@0.4
    Instant Print Camera; 60-130; wedding@0.6
    In-Ear Headphones; 15-120
    LED Television; 220-900; moving@0.9
    [Wearables & Smart Home]
    qualities: Waterproof, Rechargeable, Smart, Long-Life, App-Controlled
    variants: Black, Sand, Twin Pack, One Size
    GPS Sports Watch; 110-450; marathon@0.2 cycling@0.5
    Chest Heart-Rate Strap; 30-80; marathon@0.3 strength@0.5
    Bone-Conduction Earphones; 50-150; marathon@0.5 cycling@0.4
    Sunrise Alarm Clock; 30-110; rest@0.3
    Overnight Recovery Ring; 180-350; rest@0.6
    Indoor Air Quality Sensor; 40-120; pollen@0.3
    Smart Body Scale; 25-80; strength@0.2
    GPS Collar Tag; 30-80; puppy@0.6 kitten@0.7
    Pet Camera with Treat Toss; 60-180; puppy@0.5
    Aquatic LED Light Bar; 25-90; aquarium@0.3
    Soil Moisture Sensor; 15-45; garden@0.5
    Fish Finder Sonar; 80-300; fishing@0.4
    Solar Power Bank; 25-80; camping@0.4
    Waterproof Phone Pouch; 6-16; beach@0.4 fishing@0.5
    Contraction Timer and Thermometer Set; 20-50; baby@0.0
    Digital Meat Thermometer; 12-40; hosting@0.5 baking@0.5
    Stud and Cable Detector; 18-60; renovation@0.3
    Phone Charger; 8-25
    Smart Plug; 8-22
    """,
)
