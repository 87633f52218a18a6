#include "os/libdw.hpp"

#include <dlfcn.h>
#include <sys/auxv.h>

#include <optional>

namespace mp::os::dw {
namespace {

template <class Function>
bool find(void* library, const char* name, Function& function) {
    function = reinterpret_cast<Function>(::dlsym(library, name));
    return function != nullptr;
}

std::optional<Api> load() {
    if (::getauxval(AT_BASE) == 0) return std::nullopt;  // a static program: dlopen would bring a second libc
    void* library = ::dlopen("libdw.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library) return std::nullopt;
    Api api{};
    const bool complete =
        find(library, "dwfl_begin", api.begin) && find(library, "dwfl_end", api.end) &&
        find(library, "dwfl_report_begin", api.report_begin) && find(library, "dwfl_report_end", api.report_end) &&
        find(library, "dwfl_report_elf", api.report_elf) && find(library, "dwfl_module_build_id", api.module_build_id) &&
        find(library, "dwfl_module_addrname", api.module_addrname) &&
        find(library, "dwfl_module_addrdie", api.module_addrdie) &&
        find(library, "dwfl_module_nextcu", api.module_nextcu) && find(library, "dwarf_haspc", api.haspc) &&
        find(library, "dwarf_getsrc_die", api.getsrc_die) && find(library, "dwarf_linesrc", api.linesrc) &&
        find(library, "dwarf_lineno", api.lineno) &&
        find(library, "dwarf_getscopes", api.getscopes) && find(library, "dwarf_getscopes_die", api.getscopes_die) &&
        find(library, "dwarf_tag", api.tag) && find(library, "dwarf_attr_integrate", api.attr_integrate) &&
        find(library, "dwarf_attr", api.attr) && find(library, "dwarf_formref_die", api.formref_die) &&
        find(library, "dwarf_formstring", api.formstring) && find(library, "dwarf_formudata", api.formudata) &&
        find(library, "dwarf_diename", api.diename) && find(library, "dwarf_getsrcfiles", api.getsrcfiles) &&
        find(library, "dwarf_filesrc", api.filesrc) && find(library, "dwarf_child", api.child) &&
        find(library, "dwarf_siblingof", api.siblingof) && find(library, "dwarf_formblock", api.formblock);
    if (!complete) return std::nullopt;
    return api;
}

}  // namespace

const Api* api() {
    static const std::optional<Api> loaded = load();
    return loaded ? &*loaded : nullptr;
}

}  // namespace mp::os::dw
