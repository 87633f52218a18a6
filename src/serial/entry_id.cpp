#include <multiprocessing/detail/entry.hpp>

#include <algorithm>
#include <cstring>
#include <span>
#include <string>

#include <multiprocessing/errors.hpp>

#include "os/modules.hpp"

namespace mp::detail {
namespace {

os::BuildId build_id_of(const ModuleId& id) {
    return os::BuildId(std::span(id.build_id.data(), std::min<std::size_t>(id.size, id.build_id.size())));
}

/// The module around `address` and its name between processes.
os::ModulePtr module_of(const void* address, const char* what) {
    os::ModulePtr module = os::module_at(address);
    if (!module)
        throw Error(std::string("cannot name ") + what + " for a worker: it belongs to no loaded program or library");
    if (module->build_id.empty())
        throw Error(std::string("cannot name ") + what + " of " + module->path +
                    " for a worker: the file has no build-id; link it with -Wl,--build-id");
    return module;
}

ModuleId name_of(const os::Module& module) {
    ModuleId id;
    const auto bytes = module.build_id.bytes();
    id.size = static_cast<std::uint8_t>(bytes.size());
    std::copy(bytes.begin(), bytes.end(), id.build_id.begin());
    // The program is the program wherever it lies, so its path says nothing; and short names copy faster.
    if (!module.is_program) id.path = module.path;
    return id;
}

os::ModulePtr module_of(const ModuleId& id) {
    const os::BuildId build_id = build_id_of(id);
    if (build_id.empty()) throw Error("cannot find a function: its module is named without build-id");
    if (os::ModulePtr module = os::module_with(build_id)) return module;
    if (id.path.empty()) {
        const os::ModulePtr self = os::main_module();
        throw Error("cannot find a function: the worker runs another build of " + (self ? self->path : "the program"));
    }
    os::LoadedModule loaded = os::load_module(id.path, build_id);
    if (loaded.module) return loaded.module;
    if (loaded.other_build) throw Error("cannot find a function: the worker finds another build of " + id.path);
    throw Error("cannot find a function: the worker cannot load " + id.path + ": " + loaded.reason);
}

[[noreturn]] void refuse(const os::Module& module, std::uint64_t offset, const char* why) {
    throw Error("cannot find a function: offset " + std::to_string(offset) + " of " + module.path + ' ' + why);
}

}  // namespace

EntryId identify(const EntryRecord& record) {
    const os::ModulePtr module = module_of(&record, "a function");
    return {name_of(*module), reinterpret_cast<std::uintptr_t>(&record) - module->base, record.type_hash};
}

// It reads whatever readable place it was told of, between two variables if need be, to see that there is no record.
[[gnu::no_sanitize_address]] const EntryRecord& resolve(const EntryId& id, std::uint64_t kind_hash) {
    using AnyEntry = Entry<void()>;  // the size of every entry
    const os::ModulePtr module = module_of(id.module);
    const std::uintptr_t address = module->base + id.offset;
    if (address % alignof(AnyEntry) != 0 || !module->readable(address, sizeof(AnyEntry)))
        refuse(*module, id.offset, "holds no data");
    const auto& entry = *reinterpret_cast<const AnyEntry*>(address);
    if (entry.magic != EntryRecord::expected_magic) refuse(*module, id.offset, "holds no function record");
    if (entry.kind_hash != kind_hash) refuse(*module, id.offset, "is the record of another kind of function");
    if (entry.type_hash != id.type_hash) refuse(*module, id.offset, "is the record of a function with other types");
    return entry;
}

CodeId identify_code(void (*code)()) {
    if (code == nullptr) return {};
    const os::ModulePtr module = module_of(reinterpret_cast<const void*>(code), "a function pointer");
    return {name_of(*module), reinterpret_cast<std::uintptr_t>(code) - module->base};
}

void (*resolve_code(const CodeId& id))() {
    if (id.module.size == 0 && id.offset == 0) return nullptr;
    const os::ModulePtr module = module_of(id.module);
    const std::uintptr_t address = module->base + id.offset;
    if (!module->executable(address)) refuse(*module, id.offset, "holds no code");
    return reinterpret_cast<void (*)()>(address);
}

}  // namespace mp::detail
