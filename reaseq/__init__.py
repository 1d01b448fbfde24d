"""ReaSeq: world knowledge for recommenders, reasoned offline and served by look-up (after arXiv 2512.21257).

Plain Python in, plain tables out. Packages are listed here in the order in which they may import each other, lowest
first: `errors`, `schema`, `presets`, `config`, `pretrained`, `progress`, `artifacts`, `parallel`, `determinism`,
`worker`, `data`, `llm`, `knowledge`, `representation`, `behavior`, `ranking`, `evaluation`, `platform`, `cli`.
"""

__version__ = "0.1.0"
