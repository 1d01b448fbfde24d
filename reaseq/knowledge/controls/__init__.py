"""What the council of agents is compared with: no agent at all, and a single one that is asked once.

    title        every item keeps its title
    one_expert   one prompt for the whole record: no planner, no critic, no arbiter

Both give knowledge artifacts as `distill` does. They stand apart from the council's files because those files' digest
is part of every knowledge artifact's key: a control must not make anybody's records void. The third control, a council
without its critic, is the setting `knowledge.critic`.
"""

from reaseq.knowledge.controls.one_expert import single_knowledge
from reaseq.knowledge.controls.title import title_knowledge

__all__ = ["single_knowledge", "title_knowledge"]
