"""The offline reasoner: answers the agents' messages from a bundled ontology of product needs, without any network.

`phrases` finds known words, `ontology` holds what is known, `analysis` reads one item, `experts`, `critic` and
`arbiter` answer; `reasoner` puts them behind the ChatModel protocol.
"""

from reaseq.llm.offline.ontology import Ontology, content_words, load_ontology
from reaseq.llm.offline.reasoner import OfflineReasoner

__all__ = ["OfflineReasoner", "Ontology", "content_words", "load_ontology"]
