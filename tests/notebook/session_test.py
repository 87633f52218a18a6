"""What a notebook's cells may do to their session: session_test.py LIBRARY INCLUDE. Exits 77 where clang-repl is missing."""
import os
import signal
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../tools/jupyter'))
from clang_repl import Died, Session, program, split  # noqa: E402

LIBRARY, INCLUDE = sys.argv[1:3]


class Splitting(unittest.TestCase):
    def kinds(self, cell):
        parts = split(cell)
        self.assertEqual(''.join(text for _, text in parts), cell)
        return [kind for kind, _ in parts if kind != 'space']

    def test_tells_declarations_from_statements(self):
        for text in ('int x = 3;', 'mp::Pool pool(2);', 'std::vector<int> v{1, 2};', 'int f(int x) { return x; }',
                     'auto [a, b] = mp::Pipe<int>();', 'struct A { int x; };', 'template <class T> T g(T x) { return x; }',
                     'using namespace std;', 'std::map<int, std::pair<int, int>> m;', 'auto f = [](int x) { return x; };',
                     'Worker worker({0, 1});', 'std::string s;', 'const char* t = "; }";', 'enum { a, b } e;'):
            self.assertEqual(self.kinds(text), ['declaration'], text)
        for text in ('x = 3;', 'f(2);', 'std::printf("%d; }\\n", 3);', 'for (int i = 0; i < 3; ++i) { f(i); }',
                     'if (x) { f(1); } else { f(2); }', 'do { f(1); } while (x);', 'try { f(1); } catch (...) { }',
                     'pool.map([](int x) { return x; }, v);', 'std::cout << x << 3;', 'v[2] = 1;', '++x;', '{ int y; }',
                     "c = ';';", 'throw 3;', 'while (x) f(1);', "x += 1'000;"):
            self.assertEqual(self.kinds(text), ['statement'], text)

    def test_takes_a_last_part_without_semicolon_as_an_expression(self):
        self.assertEqual(self.kinds('int x = 3;\nx + 1  // four'), ['declaration', 'expression'])

    def test_leaves_lines_of_the_preprocessor_alone(self):
        self.assertEqual(self.kinds('#include <map>\n#define A \\\n  3\nA'), ['line', 'line', 'expression'])


class OfCells(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.session = Session(LIBRARY, INCLUDE)

    @classmethod
    def tearDownClass(cls):
        cls.session.stop()

    def run_cell(self, cell):
        self.printed = {'stdout': '', 'stderr': ''}

        def output(stream, text):
            self.printed[stream] += text

        problem = self.session.run(cell, output)
        return problem or self.printed['stdout']

    def test_a_cell_that_does_not_compile_costs_nothing(self):
        self.assertEqual(self.run_cell('int kept = 4;'), '')
        self.assertEqual(self.run_cell('std::puts("must not run");\nint bad = nothing;'), 'it does not compile')
        self.assertIn(":2:11: error: use of undeclared identifier 'nothing'", self.printed['stderr'])
        self.assertEqual(self.printed['stdout'], '')
        self.assertEqual(self.run_cell('kept'), '4\n')

    def test_an_exception_ends_the_cell_only(self):
        cell = 'std::puts("before");\nthrow std::runtime_error("two\\nlines");\n'
        self.assertEqual(self.run_cell(cell), 'std::runtime_error: two\nlines')
        self.assertEqual(self.printed['stdout'], 'before\n')
        self.assertEqual(self.run_cell('std::puts("after");'), 'after\n')

    def test_functions_and_lambdas_of_later_cells_run_in_an_older_pool(self):
        self.assertEqual(self.run_cell('mp::Pool pool(2);'), '')
        self.assertEqual(self.run_cell('int square(int x) { return x * x; }'), '')
        self.assertEqual(self.run_cell('for (int y : pool.map(square, std::vector{1, 2})) std::printf("%d\\n", y);'), '1\n4\n')
        self.assertEqual(self.run_cell('pool.submit([k = 5](int x) { return k * x; }, 3).get()'), '15\n')
        self.assertIn('no 3', self.run_cell('pool.apply([](int) -> int { throw std::invalid_argument("no 3"); }, 1);'))

    def test_what_workers_print_is_the_cells(self):
        cell = 'mp::Process greeting([] { std::puts("hello"); std::cerr << "warning\\n"; });\ngreeting.start();\ngreeting.join();'
        self.assertEqual(self.run_cell(cell), 'hello\n')
        self.assertEqual(self.printed['stderr'], 'warning\n')

    def test_a_cell_that_reads_finds_nothing(self):
        self.assertEqual(self.run_cell('int number = 5;\nstd::cin >> number;\nstd::cin.fail()'), 'true\n')
        self.assertEqual(self.run_cell('1 + 1'), '2\n')

    def test_z_an_interrupted_cell_ends_its_session(self):
        def interrupt(*_):
            raise KeyboardInterrupt

        self.assertEqual(self.run_cell('1 + 1'), '2\n')
        before = signal.signal(signal.SIGALRM, interrupt)
        try:
            with self.assertRaises(KeyboardInterrupt):
                signal.alarm(8)
                self.run_cell('volatile bool forever = true;\nwhile (forever) {\n}')
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)
        self.session.interrupt()
        self.assertEqual(self.run_cell('2 + 3'), '5\n')

    def test_z_a_crash_is_told_and_a_new_session_begins(self):
        self.assertEqual(self.run_cell('int lost = 1;'), '')
        with self.assertRaisesRegex(Died, 'killed by SIGSEGV'):
            self.run_cell('std::puts("so far");\n*static_cast<volatile int*>(nullptr) = 1;')
        self.assertEqual(self.printed['stdout'], 'so far\n')
        self.assertEqual(self.run_cell('lost'), 'it does not compile')
        self.assertEqual(self.run_cell('2 + 2'), '4\n')


if __name__ == '__main__':
    try:
        program('clang-repl')
        program('clang++')
    except FileNotFoundError as error:
        print(f'skipped: {error}')
        sys.exit(77)
    unittest.main(argv=sys.argv[:1], verbosity=2)
