"""The fixed texts that every graph is compared over: the shapes of input that have broken sentence encoders before."""

__all__ = ["PARITY_TEXTS"]

_LONG = "The committee met again in the spring, and this time the minutes say who spoke, for how long, and what was decided. "
_LONG_CHINESE = "春天再次开会时，会议记录写明了谁发言、讲了多久以及最后的决定。"

PARITY_TEXTS: tuple[str, ...] = (
    "",
    " ",
    "\t\n  \r\n",
    ".",
    "a",
    "I",
    "Hello",
    "How do I reset my password?",
    "忘记密码怎么办？",
    "The quick brown fox jumps over the lazy dog.",
    "A MAN IS PLAYING A GUITAR ON THE STAGE",
    "A man is eating a piece of bread while a woman watches the rain from the kitchen window.",
    "北京是中华人民共和国的首都，也是全国的政治和文化中心。",
    "繁體字與簡體字：龍、龟、鬱、𠮷野家",
    "全角字符：ＡＢＣ１２３，标点「」『』《》、；：？！……——",
    "今日はいい天気ですね。明日はどうでしょうか。",
    "오늘 날씨가 참 좋네요.",
    "Привет, мир! Как дела?",
    "مرحبا بالعالم",
    "שלום עולם",
    "นี่คือประโยคภาษาไทย",
    "Crème brûlée, naïve façade, Ångström, Dvořák, İstanbul",
    "👍🏽 👩‍👩‍👧‍👦 🇨🇳 emoji ❤️‍🔥 between words 🤖",
    "mixed 中文 and English words 在 the same 句子 里",
    "https://example.org/path?query=embedding&lang=zh#fragment user@example.org",
    "def f(x):\n    return {k: v ** 2 for k, v in x.items() if v > 0}",
    "3.14159 2,718,281 1e-9 0x7f −40 °C 50 % ½",
    "word\u200bwith\u200czero\u200dwidth\ufeff and \x00 control \x07 characters",
    "[CLS] special [SEP] tokens [MASK] in <s> the </s> text <pad>",
    "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis " * 2,
    "x" * 400,
    "!?" * 60,
    _LONG,
    _LONG_CHINESE,
    _LONG * 3,
    _LONG_CHINESE * 4,
    _LONG * 8,
    _LONG * 40,
    _LONG_CHINESE * 40,
    (_LONG + _LONG_CHINESE) * 120,
)
