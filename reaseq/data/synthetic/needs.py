"""The latent life needs: what a user lives through, and what nobody but the synthetic world knows."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Need:
    """A need of life that lasts for a while and is met over several domains."""

    name: str
    key: str  # how the shelves refer to it
    days: float  # mean duration
    weight: float  # how common it is
    words: tuple[str, ...]  # that no title may hold, since they would give the need away


NEEDS: tuple[Need, ...] = (
    Need("new baby", "baby", 100, 1.2, ("baby",)),
    Need("marathon training", "marathon", 80, 1.0, ("marathon",)),
    Need("moving house", "moving", 45, 1.2, ("moving", "house move")),
    Need("sensitive skin", "skin", 75, 1.2, ("sensitive",)),
    Need("garden season", "garden", 90, 1.4, ("garden",)),
    Need("new puppy", "puppy", 75, 1.0, ("puppy",)),
    Need("new kitten", "kitten", 65, 0.9, ("kitten",)),
    Need("home office", "office", 45, 1.2, ("home office", "office")),
    Need("camping trip", "camping", 35, 1.0, ("camping", "camp")),
    Need("beach holiday", "beach", 35, 1.3, ("beach", "holiday")),
    Need("ski trip", "ski", 40, 0.8, ("ski",)),
    Need("baking as a hobby", "baking", 65, 1.1, ("baking", "hobby")),
    Need("good coffee at home", "coffee", 60, 1.0, ("coffee",)),
    Need("wedding", "wedding", 70, 0.7, ("wedding",)),
    Need("back to school", "school", 35, 1.0, ("school",)),
    Need("yoga practice", "yoga", 75, 1.0, ("yoga",)),
    Need("strength training", "strength", 80, 1.1, ("strength training",)),
    Need("cycling to work", "cycling", 65, 0.9, ("cycling", "bicycle")),
    Need("better sleep", "rest", 55, 1.1, ("sleep", "sleeping")),
    Need("hay fever", "pollen", 55, 0.8, ("hay fever", "pollen")),
    Need("curly hair care", "curls", 75, 0.8, ("curly", "curl", "curls")),
    Need("plant-based diet", "vegan", 65, 0.9, ("plant-based",)),
    Need("photography as a hobby", "photo", 70, 0.8, ("photography", "photographer")),
    Need("home renovation", "renovation", 55, 1.0, ("renovation",)),
    Need("gaming setup", "gaming", 50, 1.0, ("gaming", "gamer")),
    Need("dinner parties", "hosting", 50, 0.9, ("dinner", "party")),
    Need("fishing", "fishing", 60, 0.7, ("fishing",)),
    Need("first aquarium", "aquarium", 65, 0.7, ("aquarium",)),
    Need("home cinema", "cinema", 50, 0.9, ("home cinema", "cinema")),
)

INDEX: dict[str, int] = {need.key: place for place, need in enumerate(NEEDS)}

TASTE = "taste"
NOISE = "noise"
"""What stands for a need in the truth of behaviours that personal taste, or nothing in particular, drove."""
