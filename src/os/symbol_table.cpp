#include "os/symbol_table.hpp"

#include <algorithm>

#include "os/elf_file.hpp"

namespace mp::os {
namespace {

bool has_build_id(const ElfFile& file, const std::vector<ElfW(Shdr)>& sections, const std::vector<unsigned char>& id) {
    if (id.empty()) return true;
    for (const auto& section : sections) {
        if (section.sh_type != SHT_NOTE) continue;
        const auto note = file.table<unsigned char>(section.sh_offset, section.sh_size);
        if (std::search(note.begin(), note.end(), id.begin(), id.end()) != note.end()) return true;
    }
    return false;
}

}  // namespace

std::vector<std::string> symbols_at(const std::string& path, const std::vector<unsigned char>& build_id,
                                    const std::vector<std::uint64_t>& addresses) {
    std::vector<std::string> names(addresses.size());
    const ElfFile file(path);
    const auto sections = file.sections();
    if (sections.empty() || !has_build_id(file, sections, build_id)) return names;
    for (const auto type : {SHT_SYMTAB, SHT_DYNSYM}) {
        for (const auto& section : sections) {
            if (section.sh_type != static_cast<unsigned>(type) || section.sh_link >= sections.size()) continue;
            const std::uint64_t strings = sections[section.sh_link].sh_offset;
            for (const auto& symbol : file.table<ElfW(Sym)>(section.sh_offset, section.sh_size)) {
                if ((symbol.st_info & 0xf) != STT_FUNC || symbol.st_shndx == SHN_UNDEF) continue;
                for (std::size_t i = 0; i < addresses.size(); ++i)
                    if (names[i].empty() && addresses[i] >= symbol.st_value &&
                        addresses[i] - symbol.st_value < std::max<std::uint64_t>(symbol.st_size, 1))
                        names[i] = file.text(strings + symbol.st_name);
            }
        }
    }
    return names;
}

}  // namespace mp::os
