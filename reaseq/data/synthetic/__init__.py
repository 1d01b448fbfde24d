"""A retail world whose truth is known: why people do what they do, and what they do where no log sees it.

The process, drawn from one seed:

1. **Catalogue** (`catalogue`). The shelves hold some 430 kinds of product in ten domains, each kind bound to the needs
   that it serves and to the stage at which it is bought, or to none (a staple). Items are drawn from the kinds: a
   brand, a quality, a variant, a price, half of them with a description. Popularity within a kind follows Zipf's law.
   `new_item_share` of the items is launched only in the test period.
2. **People** (`population`). Each has a level of activity (gamma, so most are sparse), tastes (domains, brands, price,
   favourite staples), and 1 + Poisson(days / 45) latent needs of life, each with an onset and a duration. Of the ten
   domains each person does about six on this platform, and the rest elsewhere.
3. **Behaviours** (`behaviors`). Times are spread over the period. A behaviour is driven by a need that is active then
   (80 % where there is one), by taste, or by nothing in particular. A need calls for the kinds of its stage, over all
   their domains; the item follows popularity, brand and price. Nobody does the same item twice, groceries excepted.
4. **The log** holds what was done in a person's logged domains. The rest is `beyond_log`, kept apart with the need that
   drove it, and never shown to a model.

Needs therefore show in the log only in part, and what they call for elsewhere can be inferred by somebody who
understands the titles: no title names its need, but a teething ring gives it away.
"""

from reaseq.data.synthetic.world import SyntheticWorld

__all__ = ["SyntheticWorld"]
