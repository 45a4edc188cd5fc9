"""All mechanical mutants of a C source, by its tokens.

What is tried in the bodies of functions: a condition negated (of if, while, for, ?:, and each operand of && and ||), && and ||
exchanged, a statement left out (expressions, and return, break, continue where something follows), a comparison that
is off by one or the other way round, a number that is one more. Arguments of ASSERT and of _Static_assert are left alone:
an assertion that is wrong fails by itself, one that is weaker shows in no behaviour.
"""
import collections
import re

Mutant = collections.namedtuple("Mutant", "file line kind old new start end")
Token = collections.namedtuple("Token", "text start end")

TOKEN = re.compile(r"""
    (?P<skip>\s+|/\*.*?\*/|//[^\n]*)
  | (?P<hash>^[ \t]*\#(?:\\\n|[^\n])*)
  | (?P<token>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[A-Za-z_]\w*|\d[\w.]*|<<=|>>=|\.\.\.|->|\+\+|--|&&|\|\||[-+*/%&|^<>=!]=|<<|>>|.)
""", re.X | re.S | re.M)
OPEN, CLOSE = {"(": ")", "[": "]", "{": "}"}, {")", "]", "}"}
KEYWORDS = {"if", "else", "for", "while", "do", "switch", "case", "default", "goto", "struct", "enum", "union", "static", "const",
            "volatile", "unsigned", "signed", "int", "char", "long", "short", "bool", "void", "typedef", "extern", "sizeof",
            "__asm__", "asm", "_Static_assert", "ASSERT", "register", "float", "double"}
NOT_OPERANDS = {"_Static_assert", "ASSERT"}
ASSIGNS = {"=", "+=", "-=", "*=", "/=", "|=", "&=", "^=", "<<=", ">>=", "++", "--"}
ENDS_OPERAND = {";", ",", "{", "}", "?", ":", "return", "&&", "||"} | ASSIGNS - {"++", "--"}
COMPARE = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
SWAP = {"&&": "||", "||": "&&"}


def tokens_of(text):
    found, at = [], 0
    while at < len(text):
        m = TOKEN.match(text, at)
        at = m.end()
        if m.lastgroup == "token":
            found.append(Token(m[0], m.start(), m.end()))
    return found


def partners(tokens):
    pair, stack = {}, []
    for i, t in enumerate(tokens):
        if t.text in OPEN:
            stack.append(i)
        elif t.text in CLOSE:
            j = stack.pop()
            pair[i], pair[j] = j, i
    return pair


def bodies(tokens, pair):
    """(first, last) of each function's braces: those at the outermost level behind a `)`."""
    i = 0
    while i < len(tokens):
        if tokens[i].text == "{":
            if i and tokens[i - 1].text == ")":
                yield i, pair[i]
            i = pair[i]
        elif tokens[i].text in OPEN:
            i = pair[i]
        i += 1


class Finder:
    def __init__(self, file, text):
        self.file, self.text = file, text
        self.tokens = tokens_of(text)
        self.pair = partners(self.tokens)
        self.found = {}
        for first, last in bodies(self.tokens, self.pair):
            self.body(first, last)

    def add(self, kind, i, j, new):
        """Tokens i to j (with it) become `new`."""
        start, end = self.tokens[i].start, self.tokens[j].end
        old = self.text[start:end]
        new += "\n" * (old.count("\n") - new.count("\n"))  # lines keep their numbers
        line = self.text.count("\n", 0, start) + 1
        self.found[start, end, new] = Mutant(self.file, line, kind, old, new, start, end)

    def negate(self, i, j):
        if i <= j:
            self.add("negated", i, j, f"!({self.text[self.tokens[i].start:self.tokens[j].end]})")

    def operand_before(self, i, ends):
        """Where what ends before token i begins."""
        j = i - 1
        while self.tokens[j].text not in ends and self.tokens[j].text not in OPEN:
            j = self.pair[j] - 1 if self.tokens[j].text in CLOSE else j - 1
        return j + 1

    def operand_behind(self, i):
        j = i + 1
        while self.tokens[j].text not in ENDS_OPERAND and self.tokens[j].text not in CLOSE:
            j = self.pair[j] + 1 if self.tokens[j].text in OPEN else j + 1
        return j - 1

    def statement_end(self, i):
        """Its `;`, or None where it is none."""
        while self.tokens[i].text != ";":
            if self.tokens[i].text in CLOSE:
                return None
            i = self.pair[i] + 1 if self.tokens[i].text in OPEN else i + 1
        return i

    def body(self, first, last):
        i = first + 1
        while i < last:
            text = self.tokens[i].text
            if text in NOT_OPERANDS:
                i = self.pair[i + 1] + 1
                continue
            self.token(i, text, last)
            i += 1

    def token(self, i, text, last):
        t = self.tokens
        if text in ("if", "while", "switch") and t[i + 1].text == "(" and text != "switch":
            self.negate(i + 2, self.pair[i + 1] - 1)
        elif text == "for" and t[i + 1].text == "(":
            begin = self.statement_end(i + 2) + 1
            self.negate(begin, self.statement_end(begin) - 1)
        elif text == "?":
            self.negate(self.operand_before(i, ENDS_OPERAND - {"&&", "||"}), i - 1)
        elif text in SWAP:
            self.add("exchanged", i, i, SWAP[text])
            self.negate(self.operand_before(i, ENDS_OPERAND), i - 1)
            self.negate(i + 1, self.operand_behind(i))
        elif text in COMPARE:
            self.add("compared", i, i, COMPARE[text])
        elif re.fullmatch(r"(0[xX][0-9a-fA-F]+|\d+)[uUlL]*", text):
            number, suffix = re.fullmatch(r"(0[xX][0-9a-fA-F]+|\d+)([uUlL]*)", text).groups()
            self.add("one more", i, i, f"{int(number, 0) + 1}{suffix}")
        if self.begins_statement(i):
            self.leave_out(i, last)

    def begins_statement(self, i):
        before = self.tokens[i - 1].text
        if before in (";", "{", "}", "else", "do"):
            if before == "{" and self.tokens[i - 2].text in ("=", ")", ",", "(", "{") and not self.is_block(i - 1):
                return False
            return not self.inside_parentheses(i)
        if before == ")":
            opener = self.pair[i - 1] - 1
            return self.tokens[opener].text in ("if", "while", "for")
        return before == ":" and self.follows_label(i)

    def is_block(self, brace):
        """Behind `)`: of a function, if, for, while, switch; not of a compound literal."""
        if self.tokens[brace - 1].text != ")":
            return False
        word = self.tokens[self.pair[brace - 1] - 1].text
        return bool(re.fullmatch(r"[A-Za-z_]\w*", word)) and word != "return" and word != "sizeof"

    def inside_parentheses(self, i):
        """The `;` of a for."""
        j = i - 1
        while j >= 0 and self.tokens[j].text not in ("{", "}") and i - j < 80:
            if self.tokens[j].text == ")":
                j = self.pair[j]
            elif self.tokens[j].text == "(":
                return True
            j -= 1
        return False

    def follows_label(self, i):
        j = i - 2
        while self.tokens[j].text not in (";", "{", "}", ":", "?"):
            if self.tokens[j].text in ("case", "default"):
                return True
            j -= 1
        return False

    def leave_out(self, i, last):
        t = self.tokens
        if t[i].text in ("break", "continue"):
            self.add("left out", i, i + 1, ";")
            return
        if t[i].text == "return":
            end = self.statement_end(i)
            if end + 1 < last and not self.ends_function(end, last):
                self.add("left out", i, end, ";")
            return
        if t[i].text in KEYWORDS or t[i].text in (";", "{", "}"):
            return
        if re.fullmatch(r"[A-Za-z_]\w*", t[i].text) and (
                re.fullmatch(r"[A-Za-z_]\w*", t[i + 1].text) or
                (t[i + 1].text == "*" and re.fullmatch(r"[A-Za-z_]\w*", t[i + 2].text) and t[i].text.endswith("_t"))):
            return  # a declaration
        end = self.statement_end(i)
        words = [t[k].text for k in range(i, end)] if end else []
        if any(w in ASSIGNS for w in words) or "(" in words:
            if words[:2] != ["(", "void"]:
                self.add("left out", i, end, ";")

    def ends_function(self, end, last):
        return all(t.text == "}" for t in self.tokens[end + 1:last])


def mutants_of(file, text):
    finder = Finder(file, text)
    return [finder.found[key] for key in sorted(finder.found)]


def apply(text, mutant):
    return text[:mutant.start] + mutant.new + text[mutant.end:]


def one_line(words):
    return " ".join(words.split())
