"""Baselines that rank the whole catalogue after a user's history: SASRec, popularity and item-to-item.

They read items and order alone, no text and no inferences, and say what the reasoning assets must beat on published
leave-one-out tables.

    rows, loss, model, training   SASRec with cross-entropy over the catalogue
    counting                      popularity and item-to-item, on training events alone
    full_ranking                  the protocol: targets, masking of seen items, ties at random
    two_stages                    the full ranker under that protocol, alone and after a retriever
    stage                         `train_sequential`, from a dataset to weights and test ranks
"""

from reaseq.ranking.sequential.counting import ItemToItem, Popularity
from reaseq.ranking.sequential.full_ranking import Targets, rank_targets
from reaseq.ranking.sequential.stage import load_sequential, ranks_table, train_sequential
from reaseq.ranking.sequential.training import next_item_scores
from reaseq.ranking.sequential.two_stages import RankerScores, TwoStages

__all__ = [
    "ItemToItem",
    "Popularity",
    "RankerScores",
    "Targets",
    "TwoStages",
    "load_sequential",
    "next_item_scores",
    "rank_targets",
    "ranks_table",
    "train_sequential",
]
