"""Words that state a quantity, words they go with, and terms of the field that only look like a quantity.

Data alone; :mod:`portfolio_rebalance.agents.number_grammar` decides what a word means where it stands. All
words are lower case and without accents.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "ADJECTIVES",
    "CARDINALS",
    "COMPARATIVES",
    "COUNTED",
    "FIELD_TERMS",
    "FOREIGN",
    "FRACTION_FOLLOWERS",
    "GLUE",
    "LOWER",
    "MAGNITUDES",
    "MONTHS",
    "MULTIPLES",
    "NAMED",
    "ORDERS",
    "PERIODS",
    "PLURAL_PARTS",
    "STATISTICS",
    "TALKED_OF",
    "TEENS",
    "TENS",
    "UNITS",
    "word_set",
]


def word_set(*lines: str) -> frozenset[str]:
    """The words of some lines."""
    return frozenset(" ".join(lines).split())


def _terms(*lines: str) -> frozenset[str]:
    return frozenset(", ".join(lines).split(", "))


LOWER: Final = word_set("two three four five six seven eight nine ten eleven twelve")
TENS: Final = word_set("twenty thirty forty fifty sixty seventy eighty ninety fourty ninty")
MAGNITUDES: Final = word_set(
    "hundred thousand million billion trillion quadrillion dozen lakh crore",
    "hundreds thousands millions billions trillions quadrillions dozens lakhs crores",
)
TEENS: Final = word_set(
    "thirteen fourteen fifteen sixteen seventeen eighteen nineteen",
    "fiveteen eightteen twelv nineten thirten fourten sixten",  # as they are misspelled
)
CARDINALS: Final = (
    LOWER
    | TENS
    | MAGNITUDES
    | TEENS
    | word_set(
        "zero zeros zeroes zeroed zeroing nil nought noughts",
        "twos threes fours fives sixes sevens eights nines tens elevens teens",
        "twenties thirties forties fifties sixties seventies eighties nineties",
        "threescore fourscore trio trios quartet quintet sextet septet octet",
        "twosome threesome foursome",
    )
)
"""Words that are a quantity wherever they stand, but in a field term."""

MULTIPLES: Final = word_set(
    "double doubles doubled doubling triple triples tripled tripling treble trebles trebled trebling",
    "quadruple quadruples quadrupled quadrupling quintuple quintuples quintupled quintupling",
    "sextuple sextupled septuple octuple decuple centuple",
    "halve halves halved halving twice thrice",
)

ORDERS: Final = word_set("third fourth fifth sixth seventh eighth ninth tenth eleventh")
"""An order, mostly; a part after ``a`` or ``one``."""

PLURAL_PARTS: Final = word_set(
    "thirds fourths fifths sixths sevenths eighths ninths tenths elevenths twelfths sixteenths twentieths",
    "hundredths thousandths millionths",
    # Orders so high that nobody counts reasons with them: dates, ranks and parts.
    "twelfth thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth",
    "thirtieth",
    "fortieth fiftieth sixtieth seventieth eightieth ninetieth hundredth thousandth millionth billionth",
)
"""Parts, and orders that are figures wherever they stand."""

MONTHS: Final = word_set(
    "january february march april may june july august september october november december"
)

STATISTICS: Final = word_set(
    "ratio ratios correlation correlations beta betas sharpe sortino calmar coefficient coefficients",
    "factor",
    "probability multiple leverage exposure value skew kurtosis rank ranks rho eigenvalue quotient slope",
    "delta",
    "multiplier loading loadings sum sums weight weights total totals size length number count score",
    "level degree",
    "squared autocorrelation gearing scale norm",
)
"""Statistics that can be one."""

PERIODS: Final = word_set(
    "year years month months week day quarter window windows period periods sample history record session",
    "lookback test run series data season decade cycle backtest simulation horizon batch stretch trading",
    "list report argument sentence story",
)
"""What has a first and a second half that are no amounts."""

UNITS: Final = word_set(
    "percent percentage per basis bp bps bip bips pip pips tick ticks cent cents dollar dollars euro euros",
    "pound pounds usd usdt usdc eur gbp btc eth coin coins unit units share lot lots contract token",
    "second minute hour day week fortnight month quarter year decade bar candle period session sigma",
    "deviation decimal digit times fold standard-deviation notch percentile",
    "hundred thousand million billion trillion dozen half third fourth fifth sixth seventh eighth ninth",
    "tenth",
    "twelfth twentieth hundredth thousandth lakh crore",
)
"""What one of is an amount."""

COUNTED: Final = word_set(
    "trade order fill leg position breach violation candidate draft observation outlier gap row reduction",
    "purchase sale transaction deal bet increase attempt retry resample loss loser winner win warning",
    "error failure",
)
"""What one of is a count."""

NAMED: Final = word_set(
    "strategy venue exchange account asset cluster stock bot market bond currency symbol limit cap",
)
"""What one of is a count too, but no count in ``concentrated in one strategy``."""

ADJECTIVES: Final = word_set(
    "full whole entire single more extra additional further other new old small large big tiny huge open",
    "standard",
    "trading business calendar missing late early stale long short high low mere percentage basis us",
    "partial",
    "failed pending live losing winning active remaining last next final minor major unfilled filled",
    "rejected",
    "profitable clear isolated lone bitcoin usdt dollar overlapping correlated capped idle compliant",
)
"""What may stand between ``one`` and what is counted; no word of judgement: ``one bad day`` is any such."""

TALKED_OF: Final = word_set(
    "reason way thing concern question answer point side view word caveat worry doubt option choice",
    "explanation",
    "possibility lesson story cause path remark conclusion",
)
"""What is counted in talk, and no figure of a portfolio: ``only one way``."""

COMPARATIVES: Final = word_set(
    "more less higher lower larger smaller fewer bigger cheaper dearer deeper shallower wider narrower",
    "faster",
    "slower better worse richer poorer shorter longer",
)

FRACTION_FOLLOWERS: Final = COMPARATIVES | word_set(
    "again off down up above below in to from on at since over after before during when while as into",
    "between",
    "with for by each and or but than because if so under across within through until",
)
"""What follows a part, and no thing that is counted."""

FIELD_TERMS: Final = frozenset(
    {"two sided", "two way", "two tailed"}  # a three-way split is a count
    | {
        f"{number}-{tail}"
        for number in ("two", "three", "four", "five")
        for tail in ("factor", "dimensional", "pronged", "edged", "stage", "tier", "step", "fund", "legged")
    }
    | _terms(
        "zero-sum, zero-mean, zero-coupon, zero-based, zero-knowledge, zero-trust, zero-width, zero-beta",
        "zero-crossing, zero in, zeroed in, zeroing in, zero tolerance, four eyes",
        "half life, half lives, half spread, half spreads, half hearted, half heartedly, half baked",
        "half open",
        "half truth, half truths, half measure, half measures, half-year, half-years, half-yearly",
        "half-time",
        "half-normal, half-width",
        "double check, double checks, double checked, double checking, double edged, double sided",
        "double down, doubles down, doubled down, doubling down",
        "double count, double counts, double counted, double counting, double entry, double standard",
        "double standards, double precision, double negative, double duty, double blind, double bind",
        "double top, double bottom, triple top, triple bottom, double barrier, triple barrier",
        "double auction",
        "double spend, double spending, triple check, triple checked, triple witching, doubles as",
        "doubling as",
    )
)
"""Terms that state no quantity. With a hyphen: only so; with a blank: either way."""

GLUE: Final = word_set(
    "percent pct bps bp and point points basis day days week weeks month months year years usd usdt",
    "dollars",
    "fold ish odd some something plus times third thirds fifths tenths half quarters one s",
)
"""What is found glued to a number: ``twentypercent``, ``fiftyish``."""

FOREIGN: Final = word_set(
    # German
    "eins zwei zwo drei vier funf fuenf sechs sieben acht neun zehn zwolf zwoelf dreizehn vierzehn",
    "funfzehn",
    "fuenfzehn sechzehn siebzehn achtzehn neunzehn zwanzig dreissig vierzig funfzig fuenfzig sechzig",
    "siebzig",
    "achtzig neunzig hundert tausend millionen milliarde milliarden prozent halb halfte haelfte drittel",
    "viertel",
    "doppelt verdoppelt verdoppeln zweimal dreimal dutzend anderthalb",
    # Spanish and Portuguese
    "uno tres cuatro cinco seis siete ocho nueve diez doce trece catorce dieciseis diecisiete dieciocho",
    "diecinueve veinte veintiuno veintidos veintitres veinticuatro veinticinco treinta cuarenta cincuenta",
    "sesenta setenta ochenta noventa cien ciento doscientos trescientos quinientos millon millones mitad",
    "tercio",
    "docena doble dois quatro sete oito dez vinte trinta quarenta cinquenta oitenta cem metade",
    # French
    "deux trois quatre cinq huit neuf dix onze douze treize quatorze quinze vingt trente quarante",
    "cinquante",
    "soixante septante octante nonante moitie douzaine",
    # Italian and Dutch
    "tre quattro cinque sette nove dieci venti quaranta cinquanta sessanta settanta ottanta novanta",
    "cento mille",
    "twee drie vijf zes zeven negen tien twintig dertig veertig vijftig zestig zeventig tachtig negentig",
    "honderd",
    "duizend procent",
    # Russian, as its letters are, and as they are read
    "два три четыре пять шесть семь восемь девять десять двадцать тридцать сорок пятьдесят сто тысяча",
    "процентов",
)
"""Numbers of other languages that are no English words."""
