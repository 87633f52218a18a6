"""A C++ session: clang-repl, fed with whole cells, watched, and started anew when it dies.

A cell becomes a file that the session includes, so that it is compiled as one and errors name its lines. Declarations stay
at file scope. Statements between them go into a function that catches what they throw; this is also why lambdas in
statements work, which clang-repl 19 cannot name at its top level.

The compiler sees each cell, after all earlier ones, before the session does: clang-repl 19 runs parts of code that it has
refused together with the next that it accepts, and does not always live on.
"""
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))

STATEMENT_WORDS = {'if', 'for', 'while', 'do', 'switch', 'try', 'return', 'throw', 'delete', 'new', 'co_await', 'goto'}
DECLARATION_WORDS = {'class', 'struct', 'union', 'enum', 'namespace', 'template', 'using', 'typedef', 'static', 'extern',
                     'inline', 'constexpr', 'consteval', 'constinit', 'auto', 'const', 'unsigned', 'signed', 'static_assert',
                     'concept', 'int', 'char', 'bool', 'double', 'float', 'long', 'short', 'void', 'friend', 'asm', 'export'}
TOKEN = re.compile(r'''
    (?P<comment> //[^\n]* | /\*.*?\*/ ) |
    (?P<raw>     R"(?P<tag>[^()\\\s]{0,16})\(.*?\)(?P=tag)" ) |
    (?P<text>    "(?:\\.|[^"\\\n])*" | (?<![0-9a-zA-Z_])'(?:\\.|[^'\\\n])+' ) |
    (?P<line>    ^[ \t]*\#(?:\\\n|[^\n])* ) |
    (?P<word>    [A-Za-z_]\w* ) |
    (?P<space>   \s+ ) |
    (?P<sign>    . )''', re.VERBOSE | re.DOTALL | re.MULTILINE)
# `type name` before anything that can follow a name in a declaration.
DECLARATION = re.compile(r'^(::)?\w+(::\w+)*(<.*?>)?(::\w+)*[\s&*]+(const\b\s*)?[&*\s]*\w+(::\w+)*\s*(\[[^\]]*\]\s*)*(;|=|\(|\{|,|$)', re.DOTALL)


def split(cell):
    """The cell's parts in order, as (kind, text), which together are the cell. Kinds: space, line (of the preprocessor),
    declaration, statement, and expression for a last part without semicolon."""
    tokens = [(m.lastgroup if m.lastgroup != 'tag' else 'raw', m.group()) for m in TOKEN.finditer(cell)]
    parts, part, first, depth, assigned = [], '', None, 0, False

    def next_significant(i):
        for kind, text in tokens[i + 1:]:
            if kind not in ('space', 'comment'):
                return text
        return ''

    def finish(kind):
        nonlocal part, first, assigned
        parts.append((kind, part))
        part, first, assigned = '', None, False

    for i, (kind, text) in enumerate(tokens):
        if kind == 'line' and depth == 0 and first is None:
            part += text
            finish('line')
            continue
        part += text
        if kind in ('space', 'comment', 'line'):
            if first is None:
                finish('space')
            continue
        if first is None:
            first = text
        if kind != 'sign':
            continue
        if text in '([{':
            depth += 1
        elif text in ')]}':
            depth = max(0, depth - 1)
        if depth:
            continue
        if text == '=':
            assigned = True
        if text == ';' and not (first == 'do' and next_significant(i - 1) != ';'):
            finish('?')
        elif text == '}' and not assigned and first not in ('class', 'struct', 'union', 'enum', 'typedef'):
            after = next_significant(i)
            if after in (';', ',', '(', ')', '.', '[', '-', '{', 'else', 'catch') or (first == 'do' and after == 'while'):
                continue
            finish('?')
    if part:
        finish('?')
    return [(classify(text) if kind == '?' else kind, text) for kind, text in parts]


def classify(text):
    bare = TOKEN.sub(lambda m: ' ' if m.lastgroup == 'comment' else m.group(), text).strip()
    word = re.match(r'(::)?\w+', bare)
    word = word.group() if word else ''
    if word in STATEMENT_WORDS or bare == ';' or bare.startswith('{'):
        return 'statement'
    if word in DECLARATION_WORDS or bare.startswith('[[') or DECLARATION.match(bare):
        return 'declaration'
    return 'statement' if bare.endswith((';', '}')) else 'expression'


def as_file(cell, number):
    """What the session includes for a cell: the same lines, with statements inside functions."""
    out, group = [], 0
    open_group = False

    def insert(text):
        """At the end of the line before, where there is one, so that errors name the columns of the cell."""
        before = ''.join(out)
        line = before.rstrip()
        room = before[len(line):]
        if '\n' in room and '//' not in line.rpartition('\n')[2] and not line.rpartition('\n')[2].startswith('#'):
            out[:] = [line, ' ', text, room]
        else:
            out.append(text)

    def close():
        nonlocal open_group
        if open_group:
            insert(f'}} bool cell_{number}_{group}_ran = notebook::run(cell_{number}_{group});')
        open_group = False

    parts = split(cell)
    for kind, text in parts:
        if kind in ('statement', 'expression'):
            if not open_group:
                group += 1
                insert(f'void cell_{number}_{group}() {{ ')
                open_group = True
            # A comment at the end of an expression must not hide the bracket.
            out.append(f'notebook::show(({text}\n));' if kind == 'expression' else text)
        elif kind == 'space':
            out.append(text)
        else:
            close()
            if kind == 'line' and out and not out[-1].endswith('\n'):
                out.append('\n')
            out.append(text)
    # A comment may end the last line.
    if out and not out[-1].endswith('\n'):
        out.append('\n')
    close()
    return f'{"".join(out)}\nbool cell_{number}_compiled = notebook::compiled();\n'


class Died(Exception):
    """The session ended, by a crash or because it was told to; str() says how. The next cell starts another."""


class Session:
    def __init__(self, library, include):
        self.library = library
        self.flags = ['-std=c++20', '-O2', f'-I{include}', f'-I{HERE}']
        self.process = None

    def start(self):
        self.folder = tempfile.TemporaryDirectory(prefix='cpp-notebook-')
        self.number, self.accepted = 0, []
        # What all checks of cells begin with; made while the session starts.
        self.header = os.path.join(self.folder.name, 'notebook.pch')
        making = subprocess.Popen([program('clang++'), *self.flags, '-x', 'c++-header', os.path.join(HERE, 'notebook.hpp'),
                                   '-o', self.header], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        said, say = os.pipe()
        command = [program('clang-repl'), '-Xcc=-w', *(f'-Xcc={flag}' for flag in self.flags), f'-Xcc=-I{self.folder.name}']
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        start_new_session=True, close_fds=False, preexec_fn=lambda: os.dup2(say, 3))
        os.close(say)
        self.said = said
        self.pidfd = os.pidfd_open(self.process.pid)
        errors = []
        try:
            self.send(f'%lib {self.library}\n#include "notebook.hpp"\nnotebook::begin();\n', 0,
                      lambda stream, text: errors.append(text))
        except Died as died:
            raise Died(f'{died}\n{"".join(errors)}') from None
        finally:
            complaint = making.communicate()[1]
        if making.returncode:
            raise Died(f'refused its header:\n{complaint}')

    def run(self, cell, output):
        """Compiles and runs a cell. `output(stream, text)` gets what it and its workers print, as it comes. Returns an
        empty text, or what went wrong. Raises Died when the session did not survive it."""
        if self.process is None:
            self.start()
        self.number += 1
        name = f'cell_{self.number}.cpp'
        with open(os.path.join(self.folder.name, name), 'w', encoding='utf-8') as file:
            file.write(as_file(cell, self.number))
        if not self.check(name, output):
            return 'it does not compile'
        self.accepted.append(name)
        heard = self.send(f'#include "{name}"\nnotebook::end({self.number});\n', self.number, output)
        threw = [line[len('threw '):].replace('\v', '\n') for line in heard if line.startswith('threw ')]
        if threw:
            return threw[0]
        return '' if 'compiled' in heard else 'clang-repl cannot compile it'

    def check(self, name, output):
        """Whether the cell compiles; complaints go to `output`."""
        # Those that were accepted have had their warnings.
        earlier = ''.join(f'#include "{cell}"\n' for cell in self.accepted)
        with open(os.path.join(self.folder.name, 'earlier.hpp'), 'w', encoding='utf-8') as file:
            file.write('#pragma clang system_header\n' + earlier)
        done = subprocess.run([program('clang++'), *self.flags, '-fsyntax-only', '-include-pch', self.header, '-include',
                               'earlier.hpp', name], cwd=self.folder.name, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, check=False)
        if done.stderr:
            output('stderr', re.sub(r'^\d+ (warning|error)s?.* generated\.\n', '', done.stderr, flags=re.MULTILINE))
        return done.returncode == 0

    def send(self, text, number, output):
        """Returns what was heard until the end of cell `number`."""
        try:
            self.process.stdin.write(text.encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it died; seen below
        streams = {self.process.stdout.fileno(): 'stdout', self.process.stderr.fileno(): 'stderr', self.said: 'said'}
        poll = select.poll()
        for fd in [*streams, self.pidfd]:
            poll.register(fd, select.POLLIN)
        heard = ''
        while True:
            ready = [fd for fd, _ in poll.poll()]
            # All that was printed before the end, and then the end.
            self.pass_on(streams, ready, output)
            if self.said in ready:
                heard += os.read(self.said, 65536).decode(errors='replace')
            if f'\n{heard}'.endswith(f'\nend {number}\n'):
                self.pass_on(streams, [fd for fd, _ in poll.poll(0)], output)
                return heard.split('\n')[:-2]
            if self.pidfd in ready:
                self.pass_on(streams, [fd for fd, _ in poll.poll(0)], output)
                raise Died(self.bury())

    def pass_on(self, streams, ready, output):
        for fd in ready:
            if streams.get(fd, 'said') == 'said':
                continue
            if text := os.read(fd, 1 << 20).decode(errors='replace'):
                output(streams[fd], text)

    def interrupt(self, patience=5):
        """Ends the session, whose one thread is busy with a cell: first as Ctrl-C does."""
        if self.process is None:
            return
        os.kill(self.process.pid, signal.SIGINT)
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.bury()

    def bury(self):
        """Ends what is left of the session; says how it ended."""
        code = self.process.wait()
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                stream.close()
            except BrokenPipeError:
                pass
        os.close(self.said)
        os.close(self.pidfd)
        self.folder.cleanup()
        self.process = None
        return f'killed by {signal.Signals(-code).name}' if code < 0 else f'ended with exit code {code}'

    def stop(self, patience=10):
        """exit() runs the destructors of the notebook's objects: pools are left in order."""
        if self.process is None:
            return
        try:
            self.process.stdin.write(b'std::exit(0);\n')
            self.process.stdin.close()
            self.process.wait(patience)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self.process.kill()
        self.bury()


def program(name):
    for known_as in (f'{name}-19', name):
        if found := shutil.which(known_as):
            return found
    raise FileNotFoundError(f'there is no {name}-19: install the Debian packages clang-19 and clang-tools-19')
