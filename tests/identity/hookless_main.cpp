// A program that gets the library only through a shared library, where the start hook is not found.
int start_program(int argc, char** argv);
int main(int argc, char** argv) { return start_program(argc, argv); }
