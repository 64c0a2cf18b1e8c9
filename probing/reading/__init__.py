"""Reading the program in a model's answer: one reader for training, `ucoder judge` and evaluations. Texts only; nothing is executed.

    read_program("Sure:\\n```python\\ndef f(x):\\n    return x\\n```", entry="f")

An answer goes through these steps, one module each: `text` (thinking, newlines) → `blocks` (fences and the text between them) → `runs`
(the lines that parse) → `definitions` or `programs` (which of them is meant, `excerpts` of it aside) → `needs` (what the entry reaches, by
the `facts` of each statement) → `assembly` (one program, with what it needs from elsewhere). `program` holds the whole. Where nothing
defines the entry, the answer may show its program in another form, such as JSON or an interpreter's session: `renderings` undoes these,
and the text is read again.
"""

from probing.reading.program import read_program, read_voter

__all__ = ["read_program", "read_voter"]
