"""What text that speaks to a model looks like. A finite list: `guard` says what stands behind it."""

import re

TERMINAL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
ROLE_SPEECH = re.compile(
    r"<\|im_start\|>.*?<\|im_end\|>|\[\s*INST\s*\].*?\[\s*/\s*INST\s*\]|<<\s*SYS\s*>>.*?<<\s*/\s*SYS\s*>>|"
    r"<\|[^|<>]{0,40}\|>\s*(?:system|assistant|user|tool)\b|"
    r"(?<=[\n.!?])\s*(?:system|assistant|developer|ai|human)\s*:[^\n]*",
    re.IGNORECASE | re.DOTALL,
)
"""What somebody says in the role of system or model: taken out with the words, not only with the marks."""
ROLE_TOKEN = re.compile(
    r"<\|[^|<>]{0,40}\|>|<<\s*/?\s*SYS\s*>>|\[\s*/?\s*(?:INST|SYS|SYSTEM|ASSISTANT|USER)\s*\]|<(?:start|end)_of_turn>|"
    r"</?(?:s|bos|eos|pad|system|assistant|user|human|ai|tool|item|facets|draft|rejected|candidates|instructions?)>|"
    r"#{2,}\s*(?:system|instructions?|response|assistant|user|human)\b:?|```+\w*|"
    r"(?:(?<=^)|(?<=[\n.!?]))\s*(?:system|assistant|developer)\s*:(?!\w)|"
    r"\b(?:BEGIN|END) (?:SYSTEM|PROMPT|INSTRUCTIONS?)\b",
    re.IGNORECASE,
)
LINK = re.compile(r"\b(?:https?|ftp)://\S+|\bwww\.\S+|\b[\w.+-]+@[\w-]+\.\w{2,}\b|\bjavascript:\S*", re.IGNORECASE)
TAG = re.compile(r"</?[a-zA-Z!][^<>]{0,200}>")
JSON = re.compile(r"""\{[^{}]*["':][^{}]*\}|["'][a-z_]{2,20}["']\s*:\s*(?:"[^"]*"|\[[^\]]*\]|[\w.]+)""")
INSTRUCTION = re.compile(
    "|".join(
        (
            r"\b(?:ignore|disregard|forget|override|bypass|discard)\b[^.\n]{0,40}\b(?:instructions?|prompts?|rules?|"
            r"directions?|guidelines?|context|above|previous|prior|everything|told|system)\b",
            r"\b(?:system|developer)\s+(?:prompt|message|override|instructions?|note)\b",
            r"\byou\s+(?:are|will be)\s+(?:now|no longer|an?\s+(?:ai|assistant|language model|helpful|evil|hacker))\b",
            r"\b(?:act|behave|respond|pretend)\s+(?:as|to\s+be|that\s+you\s+are|you\s+are)\s+"
            r"(?:if\s+you|an?\s+(?:ai|assistant|"
            r"critic|model|hacker|different|unrestricted|chatbot|developer|admin))\b",
            r"\bfrom\s+the\s+(?:developers?|admins?|administrators?|operators?)\s*:",
            r"\bas\s+an?\s+(?:ai|assistant|(?:large )?language model)\b",
            r"\b(?:new|updated|real|actual|special|secret)\s+instructions?\b",
            r"\b(?:note|message|attention|instructions?|warning)\s+(?:to|for)\s+(?:the\s+|any\s+|all\s+)?"
            r"(?:ai|llm|assistants?|models?|agents?|critic|planner|experts?|arbiter|chatbots?)\b",
            r"\b(?:dear|hey|hello|attention)\s+(?:ai|llm|assistant|model|chatgpt|gpt|claude|agents?)\b",
            r"\b(?:respond|reply|answer|output|return|print|write|say|repeat|generate)\b[^.\n]{0,25}"
            r"\b(?:only|exactly|json|verbatim|the\s+(?:word|following|text|phrase|string|sentence)|"
            r"in\s+(?:json|all caps))\b",
            r"\b(?:respond|reply|answer)\s+with\b",
            r"\b(?:set|change|mark|classify|label|categori[sz]e|assign|update|replace|make)\s+(?:[\w']+\s+){0,4}?"
            r"(?:category|price[_ ]tier|season|record|fields?|json|verdicts?|scores?|audience|status|function)\s+"
            r"(?:is|as|to|of|=|be|field)\b",
            r"\b(?:reveal|leak|expose|disclose|show|print)\b[^.\n]{0,30}"
            r"\b(?:prompts?|api key|secrets?|passwords?|instructions?)\b",
            r"\b(?:do\s+not|don't|never)\s+(?:follow|obey|describe|extract|analy[sz]e|mention)\b",
            r"\b(?:jailbreak|prompt injection|dan mode|developer mode|sudo mode)\b",
            r"\b(?:end|begin|start)\s+of\s+(?:item|data|input|prompt|context|system)\b",
            r"\bthe\s+(?:assistant|model|llm|ai|agent|critic|arbiter|planner)\s+"
            r"(?:must|should|shall|will|has to|is to)\b",
            r"\b(?:you\s+must|must|should|always)\s+(?:always\s+|never\s+)?"
            r"(?:say|output|answer|respond|reply|recommend|rank|classify)\b",
            r"\b(?:rank|recommend|rate|score|list)\s+(?:this|it|me)\s+(?:[\w]+\s+){0,2}"
            r"(?:first|above|highest|always|to everyone)\b",
            r"\b(?:give|rate|score|grade)\b[^.\n]{0,30}"
            r"\b(?:all ones|1111|perfect scores?|full marks|highest scores?)\b",
            r"\bignorier\w*\s+(?:alle|die|vorherig)|\bignore[zr]?\s+(?:toutes|les|tout)\b|"
            r"\bignor[ae]\s+(?:todas?|las|los|tutte|le)\b|"
            r"(?:忽略|无视|無視|忽視)|игнориру",
        )
    ),
    re.IGNORECASE,
)
CONTINUES = re.compile(
    r"^\W*(?:instead|now|then|and|also|always|never|do|don't|please|just|you|your|set|say|write|output|"
    r"respond|reply|answer|return|print|classify|mark|label|rate|make|give|use|add|include|the\s+(?:record|answer|category|output)|its|it\s+is|"
    r"category|describe|repeat|must|only|from now|claim|call|treat|replace|recommend|rank|approve|accept)\b",
    re.IGNORECASE,
)
UNIT = re.compile(r"(\n+|(?<=[.!?;])\s+|[()\[\]]|\s[-–—|]+\s)")
