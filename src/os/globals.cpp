#include "os/globals.hpp"

#include <link.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <string_view>
#include <tuple>

#include "os/elf_file.hpp"
#include "os/function_name.hpp"
#include "os/libdw.hpp"

namespace mp::os {
namespace {

constexpr std::uint64_t largest = 16 << 20;  // bytes of one variable that are looked at
constexpr std::uint64_t any_address = 0xadd2e55'adadadadULL;

struct LoadedFile {
    std::string path;
    std::uintptr_t base;
};

bool belongs_to_the_system(std::string_view path) {
    for (const std::string_view folder : {"/lib/", "/lib64/", "/usr/lib/", "/usr/lib64/", "/usr/local/lib/"})
        if (path.starts_with(folder)) return true;
    return path.empty() || path.find("libmultiprocessing.") != path.npos || path.find("linux-vdso") != path.npos;
}

std::vector<LoadedFile> own_files() {
    std::vector<LoadedFile> files;
    ::dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* argument) {
            auto& list = *static_cast<std::vector<LoadedFile>*>(argument);
            const std::string_view name = info->dlpi_name ? info->dlpi_name : "";
            if (list.empty())
                list.push_back({"/proc/self/exe", info->dlpi_addr});  // the program comes first
            else if (!belongs_to_the_system(name))
                list.push_back({std::string(name), info->dlpi_addr});
            return 0;
        },
        &files);
    return files;
}

// Of this library, of C++ itself, of the compiler or of the C library.
bool is_foreign(std::string_view symbol) {
    if (symbol.empty()) return true;
    for (const std::string_view prefix : {"_ZN2mp",
                                          "_ZNK2mp",
                                          "_ZZN2mp",
                                          "_ZZNK2mp",
                                          "_ZGV",
                                          "_ZNSt",
                                          "_ZNKSt",
                                          "_ZZNSt",
                                          "_ZSt",
                                          "_ZStL",
                                          "_ZN9__gnu_cxx",
                                          "_ZN12_GLOBAL__N_1L",
                                          "_ZTV",
                                          "_ZTI",
                                          "_ZTS",
                                          "_ZL12__gthread",
                                          "__",
                                          "_IO_",
                                          "_dl_",
                                          "_nl_",
                                          "_DYNAMIC",
                                          "_GLOBAL_OFFSET_TABLE_",
                                          "_ZN10__cxxabi",
                                          "_ZZN10__cxxabi"})
        if (symbol.starts_with(prefix)) return true;
    const std::string_view bare = symbol.substr(0, symbol.find('@'));
    for (const std::string_view name :
         {"stdin", "stdout", "stderr", "environ", "_environ", "optarg", "optind", "opterr", "optopt",
          "program_invocation_name", "program_invocation_short_name", "timezone", "daylight", "tzname", "signgam",
          "completed.0", "_end", "_edata", "object.0"})
        if (bare == name) return true;
    return bare.find("_ZNSt8ios_base4Init") != bare.npos || bare.find("St8__ioinit") != bare.npos;
}

class AddressRanges {
  public:
    AddressRanges() {
        std::ifstream maps("/proc/self/maps");
        for (std::string line; std::getline(maps, line);) {
            char* dash = nullptr;
            const std::uint64_t begin = std::strtoull(line.c_str(), &dash, 16);
            if (*dash == '-') ranges_.emplace_back(begin, std::strtoull(dash + 1, nullptr, 16));
        }
    }
    // One past the end counts: that is where the end of a container may point.
    bool contain(std::uint64_t word) const {
        const auto after = std::ranges::upper_bound(ranges_, word, {}, &std::pair<std::uint64_t, std::uint64_t>::first);
        return after != ranges_.begin() && word <= std::prev(after)->second;
    }

  private:
    std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges_;
};

class Lines {
  public:
    explicit Lines(const std::string& file) {
        if (!dw::api()) return;
        dwfl_ = api().begin(&callbacks);
        if (!dwfl_) return;
        api().report_begin(dwfl_);
        dw::Module* module = api().report_elf(dwfl_, file.c_str(), file.c_str(), -1, 0, true);
        api().report_end(dwfl_, nullptr, nullptr);
        std::uint64_t bias = 0;
        for (dw::Die* unit = nullptr; module && (unit = api().module_nextcu(module, unit, &bias));) {
            unit_ = unit;
            dw::Die child;
            if (api().child(unit, &child) == 0) walk(child, 0);
        }
    }
    ~Lines() {
        if (dwfl_) api().end(dwfl_);
    }
    Lines(const Lines&) = delete;
    Lines& operator=(const Lines&) = delete;

    std::string of(const GlobalVariable& variable) const {
        if (const auto found = by_address_.find(variable.offset); found != by_address_.end()) return found->second;
        const auto found = by_name_.find(variable.symbol);
        return found == by_name_.end() ? std::string() : found->second;
    }

  private:
    static const dw::Api& api() { return *dw::api(); }
    static int no_elf(dw::Module*, void**, const char*, std::uint64_t, char**, dw::Elf**) { return -1; }
    static int no_debuginfo(dw::Module*, void**, const char*, std::uint64_t, const char*, const char*, std::uint32_t,
                            char**) {
        return -1;
    }
    static int no_section(dw::Module*, void**, const char*, std::uint64_t, const char*, std::uint32_t, const void*,
                          std::uint64_t*) {
        return -1;
    }
    static constexpr dw::Callbacks callbacks{no_elf, no_debuginfo, no_section, nullptr};

    // Variables may stand in namespaces, in functions and in blocks of these.
    void walk(dw::Die die, int depth) {
        if (depth > 32) return;
        while (true) {
            const int tag = api().tag(&die);
            if (tag == dw::tag_variable) note(die);
            dw::Die child;
            if ((tag == dw::tag_namespace || tag == dw::tag_subprogram || tag == dw::tag_lexical_block) &&
                api().child(&die, &child) == 0)
                walk(child, depth + 1);
            dw::Die next;
            if (api().siblingof(&die, &next) != 0) return;
            die = next;
        }
    }

    void note(dw::Die& die) {
        dw::Attribute attribute;
        std::uint64_t line = 0, file = 0;
        if (api().formudata(api().attr_integrate(&die, dw::at_decl_line, &attribute), &line) != 0) return;
        std::string text;
        dw::Files* files = nullptr;
        std::size_t count = 0;
        if (api().formudata(api().attr_integrate(&die, dw::at_decl_file, &attribute), &file) == 0 &&
            api().getsrcfiles(unit_, &files, &count) == 0 && file < count)
            if (const char* path = api().filesrc(files, file, nullptr, nullptr)) text = path;
        text = text.substr(text.rfind('/') + 1) + ':' + std::to_string(line);
        dw::Block block;
        constexpr unsigned char op_addr = 0x03;
        if (dw::Attribute* location = api().attr(&die, dw::at_location, &attribute);
            location && api().formblock(location, &block) == 0 && block.length == 9 && block.data[0] == op_addr) {
            std::uint64_t address;
            std::memcpy(&address, block.data + 1, sizeof address);
            by_address_.emplace(address, text);
        }
        if (const char* name = api().formstring(api().attr_integrate(&die, dw::at_linkage_name, &attribute)))
            by_name_.emplace(name, text);
        else if (const char* plain = api().diename(&die))
            by_name_.emplace(plain, text);
    }

    dw::Dwfl* dwfl_ = nullptr;
    dw::Die* unit_ = nullptr;
    std::map<std::uint64_t, std::string> by_address_;
    std::map<std::string, std::string> by_name_;
};

}  // namespace

std::vector<GlobalVariable> global_variables() {
    std::vector<GlobalVariable> variables;
    for (const LoadedFile& loaded : own_files()) {
        const ElfFile file(loaded.path);
        const auto sections = file.sections();
        const auto header = file.table<ElfW(Ehdr)>(0, sizeof(ElfW(Ehdr)));
        if (sections.empty() || header[0].e_shstrndx >= sections.size()) continue;
        const auto holds_variables = [&](std::size_t index) {
            if (index >= sections.size()) return false;
            const auto& section = sections[index];
            const std::string name = file.text(sections[header[0].e_shstrndx].sh_offset + section.sh_name);
            return (section.sh_flags & SHF_WRITE) && (section.sh_flags & SHF_ALLOC) && !(section.sh_flags & SHF_TLS) &&
                   (name.starts_with(".data") || name.starts_with(".bss")) && !name.starts_with(".data.rel.ro");
        };
        for (const auto& table : sections) {
            if (table.sh_type != SHT_SYMTAB || table.sh_link >= sections.size()) continue;
            const std::uint64_t strings = sections[table.sh_link].sh_offset;
            for (const auto& symbol : file.table<ElfW(Sym)>(table.sh_offset, table.sh_size)) {
                if ((symbol.st_info & 0xf) != STT_OBJECT || symbol.st_size == 0 || symbol.st_size > largest ||
                    !holds_variables(symbol.st_shndx))
                    continue;
                std::string name = file.text(strings + symbol.st_name);
                if (is_foreign(name)) continue;
                std::string shown = demangle(name.c_str());
                variables.push_back({std::move(shown), std::move(name), loaded.path, symbol.st_value,
                                     loaded.base + symbol.st_value, symbol.st_size});
            }
        }
    }
    // Two names of one variable, as of an alias, are one.
    std::ranges::stable_sort(variables, {},
                             [](const GlobalVariable& v) { return std::tie(v.module, v.offset, v.symbol); });
    const auto again =
        std::ranges::unique(variables, {}, [](const GlobalVariable& v) { return std::tie(v.module, v.offset); });
    variables.erase(again.begin(), again.end());
    return variables;
}

std::vector<std::byte> contents_of(std::span<const GlobalVariable> variables) {
    const AddressRanges ranges;
    std::vector<std::byte> contents;
    for (const GlobalVariable& variable : variables) {
        const std::size_t at = contents.size();
        contents.resize(at + variable.size);
        std::memcpy(contents.data() + at, reinterpret_cast<const void*>(variable.address), variable.size);
        // Addresses lie at whole words of memory.
        for (std::uint64_t offset = (8 - variable.address % 8) % 8; offset + 8 <= variable.size; offset += 8) {
            std::uint64_t word;
            std::memcpy(&word, contents.data() + at + offset, sizeof word);
            if (word != 0 && ranges.contain(word))
                std::memcpy(contents.data() + at + offset, &any_address, sizeof word);
        }
    }
    return contents;
}

std::vector<GlobalVariable> differing(std::span<const GlobalVariable> variables, std::span<const std::byte> one,
                                      std::span<const std::byte> other) {
    std::vector<GlobalVariable> result;
    std::size_t at = 0;
    for (const GlobalVariable& variable : variables) at += variable.size;
    if (one.size() != at || other.size() != at) return result;
    at = 0;
    for (const GlobalVariable& variable : variables) {
        if (std::memcmp(one.data() + at, other.data() + at, variable.size) != 0) result.push_back(variable);
        at += variable.size;
    }
    return result;
}

std::vector<std::string> lines_of(std::span<const GlobalVariable> variables) {
    std::map<std::string, std::unique_ptr<Lines>> files;
    std::vector<std::string> result;
    for (const GlobalVariable& variable : variables) {
        auto& lines = files[variable.module];
        if (!lines) lines = std::make_unique<Lines>(variable.module);
        result.push_back(lines->of(variable));
    }
    return result;
}

}  // namespace mp::os
