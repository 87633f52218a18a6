"""A Jupyter kernel for C++ with multiprocessing. Installed by `./dev notebook`, which also says where the library is."""
import os
import signal

from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel

from clang_repl import Died, Session


class MultiprocessingKernel(Kernel):
    implementation = 'multiprocessing'
    implementation_version = '1'
    banner = "C++20 with multiprocessing, by clang-repl"
    language_info = {'name': 'c++', 'version': '20', 'mimetype': 'text/x-c++src', 'codemirror_mode': 'text/x-c++src',
                     'file_extension': '.cpp', 'pygments_lexer': 'cpp'}

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.cpp = Session(os.environ['MULTIPROCESSING_LIBRARY'], os.environ['MULTIPROCESSING_INCLUDE'])

    def say(self, stream, text):
        self.send_response(self.iopub_socket, 'stream', {'name': stream, 'text': text})

    def do_execute(self, code, silent, store_history=True, user_expressions=None, allow_stdin=False):
        try:
            problem = self.cpp.run(code, (lambda stream, text: None) if silent else self.say)
            name = 'CellFailed'
        except KeyboardInterrupt:
            self.cpp.interrupt()
            name = 'KeyboardInterrupt'
            problem = 'interrupted; a new session begins with the next cell, and what was defined so far is gone'
        except Died as died:
            name = 'SessionDied'
            problem = (f'the C++ session was {died}' if str(died).startswith('killed') else f'the C++ session {died}')
            problem += '; a new one begins with the next cell, and what was defined so far is gone'
        except OSError as error:
            problem, name = str(error), 'OSError'
        if problem:
            content = {'ename': name, 'evalue': problem, 'traceback': [f'{name}: {problem}']}
            self.send_response(self.iopub_socket, 'error', content)
            return {'status': 'error', 'execution_count': self.execution_count, **content}
        return {'status': 'ok', 'execution_count': self.execution_count, 'payload': [], 'user_expressions': {}}

    def do_shutdown(self, restart):
        self.cpp.stop()
        return {'status': 'ok', 'restart': restart}


if __name__ == '__main__':
    IPKernelApp.launch_instance(kernel_class=MultiprocessingKernel)
