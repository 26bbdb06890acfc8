"""OpenAI's own Python client, unchanged, against a running embedd or gateway.

    python tests/openai_client.py http://127.0.0.1:3216/v1 [TOKEN]

Needs the package `openai`. Exits non-zero at the first thing that is not as it should be.
"""

import math
import sys

import openai

base_url, token = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "none"
client = openai.OpenAI(base_url=base_url, api_key=token, max_retries=0, timeout=120)
TEXTS = ["Oil prices rise again", "Team wins the football final", "The price of oil rose"]


def expect(error: type[openai.APIStatusError], status: int, words: str, **request: object) -> None:
    try:
        client.embeddings.create(**request)
    except error as refused:
        assert refused.status_code == status, refused.status_code
        assert words in str(refused), refused
        assert words in refused.body["message"], refused.body
    else:
        raise AssertionError(f"{request} was accepted")


def cosine(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b)) / math.hypot(*a) / math.hypot(*b)


# The client asks for base64 by itself and decodes it; asked for floats it passes them on.
made = client.embeddings.create(model="hash-v1", input=TEXTS)
plain = client.embeddings.create(model="hash-v1", input=TEXTS, encoding_format="float")
assert made.model == "hash-v1" and made.object == "list"
assert [entry.index for entry in made.data] == [0, 1, 2]
assert [entry.object for entry in made.data] == ["embedding"] * 3
for decoded, listed in zip(made.data, plain.data, strict=True):
    assert len(decoded.embedding) == 384
    assert all(abs(a - b) < 1e-7 for a, b in zip(decoded.embedding, listed.embedding, strict=True))
oil, football, price = (entry.embedding for entry in plain.data)
assert cosine(oil, price) > cosine(oil, football)
assert made.usage.prompt_tokens == made.usage.total_tokens == 14, made.usage

one = client.embeddings.create(model="hash", input=TEXTS[1], dimensions=384, user="someone", encoding_format="float")
assert len(one.data) == 1 and one.data[0].embedding == football

expect(openai.NotFoundError, 404, "`hash-v1` is served", model="text-embedding-3-small", input="a")
expect(openai.BadRequestError, 400, "position 1 is empty", model="hash", input=["a", ""])
expect(openai.BadRequestError, 400, "not 12", model="hash", input="a", dimensions=12)
expect(openai.BadRequestError, 400, "token ids are not taken", model="hash", input=[1, 2, 3])
print(f"openai {openai.__version__}: embeddings are as its client expects them")
