// The few functions of elfutils' libdw that symbolize uses. Declared here and loaded at run time, so that neither
// building nor running the library needs elfutils. Names and layouts are those of <elfutils/libdwfl.h>, stable since 0.122.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mp::os::dw {

struct Dwfl;
struct Module;
struct Line;
struct Files;
struct Elf;

struct Die {
    void* address;
    void* unit;
    void* abbreviation;
    long padding;
};
struct Attribute {
    unsigned code;
    unsigned form;
    unsigned char* value;
    void* unit;
};

struct Block {
    std::uint64_t length;
    unsigned char* data;
};

struct Callbacks {
    int (*find_elf)(Module*, void**, const char*, std::uint64_t, char**, Elf**);
    int (*find_debuginfo)(Module*, void**, const char*, std::uint64_t, const char*, const char*, std::uint32_t, char**);
    int (*section_address)(Module*, void**, const char*, std::uint64_t, const char*, std::uint32_t, const void*,
                           std::uint64_t*);
    char** debuginfo_path;
};

constexpr int tag_class = 0x02, tag_structure = 0x13, tag_inlined_subroutine = 0x1d, tag_subprogram = 0x2e, tag_namespace = 0x39, tag_variable = 0x34,
              tag_lexical_block = 0x0b;
constexpr unsigned at_abstract_origin = 0x31, at_specification = 0x47;
constexpr unsigned at_location = 0x02, at_decl_file = 0x3a, at_decl_line = 0x3b;
constexpr unsigned at_call_file = 0x58, at_call_line = 0x59, at_linkage_name = 0x6e, at_mips_linkage_name = 0x2007;

struct Api {
    Dwfl* (*begin)(const Callbacks*);
    void (*end)(Dwfl*);
    void (*report_begin)(Dwfl*);
    int (*report_end)(Dwfl*, int (*)(Module*, void*, const char*, std::uint64_t, void*), void*);
    Module* (*report_elf)(Dwfl*, const char*, const char*, int, std::uint64_t, bool);
    int (*module_build_id)(Module*, const unsigned char**, std::uint64_t*);
    const char* (*module_addrname)(Module*, std::uint64_t);
    Die* (*module_addrdie)(Module*, std::uint64_t, std::uint64_t*);
    Die* (*module_nextcu)(Module*, Die*, std::uint64_t*);
    int (*haspc)(Die*, std::uint64_t);
    Line* (*getsrc_die)(Die*, std::uint64_t);
    const char* (*linesrc)(Line*, std::uint64_t*, std::uint64_t*);
    int (*lineno)(Line*, int*);
    int (*getscopes)(Die*, std::uint64_t, Die**);
    int (*getscopes_die)(Die*, Die**);
    int (*tag)(Die*);
    Attribute* (*attr_integrate)(Die*, unsigned, Attribute*);
    Attribute* (*attr)(Die*, unsigned, Attribute*);
    Die* (*formref_die)(Attribute*, Die*);
    const char* (*formstring)(Attribute*);
    int (*formudata)(Attribute*, std::uint64_t*);
    const char* (*diename)(Die*);
    int (*getsrcfiles)(Die*, Files**, std::size_t*);
    int (*child)(Die*, Die*);
    int (*siblingof)(Die*, Die*);
    int (*formblock)(Attribute*, Block*);
    const char* (*filesrc)(Files*, std::size_t, std::uint64_t*, std::uint64_t*);
};

/// Null where libdw.so.1 is not installed or cannot be loaded. Loaded at the first call, for good.
const Api* api();

}  // namespace mp::os::dw
