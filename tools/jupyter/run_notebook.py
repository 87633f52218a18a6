"""Runs a notebook from top to bottom with this kernel and compares what each cell prints with what the notebook says.

    run_notebook.py NOTEBOOK LIBRARY INCLUDE [--write]

Process numbers and times may differ, and so may the order of lines. With --write the notebook is given the new outputs.
Exits 77 where Jupyter or clang-repl are missing.
"""
import json
import os
import re
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SKIPPED = 77


def install(folder, library, include):
    """Writes the kernel's description below `folder`, a data folder of Jupyter."""
    with open(os.path.join(HERE, 'kernel.json.in'), encoding='utf-8') as file:
        text = file.read()
    for name, value in {'FOLDER': HERE, 'PYTHON': sys.executable, 'LIBRARY': library, 'INCLUDE': include}.items():
        text = text.replace(f'@{name}@', value)
    os.makedirs(os.path.join(folder, 'kernels/multiprocessing'), exist_ok=True)
    with open(os.path.join(folder, 'kernels/multiprocessing/kernel.json'), 'w', encoding='utf-8') as file:
        file.write(text)


def printed(cell):
    text = ''
    for output in cell.get('outputs', []):
        if output['output_type'] == 'error':
            text += f'{output["ename"]}: {output["evalue"]}\n'
        else:
            text += ''.join(output.get('text', ''))
    text = re.sub(r'ID: \d+', 'ID: n', text)
    text = re.sub(r'\d+\.\d+ seconds', 't seconds', text)
    return sorted(text.splitlines())


def main():
    notebook, library, include = sys.argv[1:4]
    sys.path.insert(0, HERE)
    try:
        import nbclient
        import nbformat
        from clang_repl import program
        import ipykernel  # noqa: F401
        program('clang-repl')
        program('clang++')
    except (ImportError, FileNotFoundError) as error:
        print(f'skipped: {error}')
        return SKIPPED
    with tempfile.TemporaryDirectory() as folder:
        install(folder, library, include)
        os.environ['JUPYTER_PATH'] = folder
        os.environ['JUPYTER_RUNTIME_DIR'] = folder
        os.environ['IPYTHONDIR'] = folder
        expected = nbformat.read(notebook, 4)
        run = nbformat.read(notebook, 4)
        nbclient.NotebookClient(run, kernel_name='multiprocessing', timeout=300, startup_timeout=120,
                                allow_errors=True, record_timing=False).execute()
    failed = False
    for number, (want, got) in enumerate(zip(expected.cells, run.cells)):
        if want.cell_type == 'code' and printed(want) != printed(got):
            failed = True
            print(f'cell {number}:\n{want.source}\n--- says\n' + '\n'.join(printed(want)) + '\n--- printed\n' +
                  '\n'.join(printed(got)))
    if '--write' in sys.argv:
        with open(notebook, encoding='utf-8') as file:
            text = json.load(file)
        for want, got in zip(text['cells'], run.cells):
            if got.cell_type != 'code':
                continue
            # One stream after another, as they are read.
            joined = {}
            for output in got.outputs:
                if output.output_type == 'stream':
                    joined[output.name] = joined.get(output.name, '') + output.text
            want['outputs'] = [{'output_type': 'stream', 'name': name, 'text': lines.splitlines(keepends=True)}
                               for name, lines in joined.items()]
            want['outputs'] += [output for output in got.outputs if output.output_type != 'stream']
            want['execution_count'] = got.execution_count
        with open(notebook, 'w', encoding='utf-8') as file:
            json.dump(text, file, indent=1, ensure_ascii=False)
            file.write('\n')
        return 0
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
