#include <multiprocessing/detail/entry.hpp>

#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include <multiprocessing/errors.hpp>

#include "os/image.hpp"
#include "os/modules.hpp"

namespace mp::detail {
namespace {

os::BuildId build_id_of(const ModuleId& id) {
    return os::BuildId(std::span(id.build_id.data(), std::min<std::size_t>(id.size, id.build_id.size())));
}

ModuleId name_of(const os::Module& module, const char* what) {
    if (module.build_id.empty())
        throw Error(std::string("cannot name ") + what + " of " + module.path +
                    " for a worker: the file has no build-id; link it with -Wl,--build-id");
    ModuleId id;
    const auto bytes = module.build_id.bytes();
    id.size = static_cast<std::uint8_t>(bytes.size());
    std::copy(bytes.begin(), bytes.end(), id.build_id.begin());
    // The program is the program wherever it lies, so its path says nothing; and short names copy faster.
    if (!module.is_program) id.path = module.path;
    return id;
}

/// Of code that lies in no file.
ModuleId name_of_generated(const void* address, std::uint64_t fingerprint) {
    const os::ImagePlace place = os::name_in_image(address, fingerprint);
    ModuleId id;
    id.size = place.token.size();
    std::copy(place.token.begin(), place.token.end(), id.build_id.begin());
    id.generated = place.number;
    return id;
}

/// Throws unless the code was there when this process was forked, and is there still.
os::MappedRange range_of_generated(const ModuleId& id, std::uintptr_t address) {
    os::ImagePlace place;
    std::copy_n(id.build_id.begin(), place.token.size(), place.token.begin());
    place.number = id.generated;
    if (!os::in_this_image(place))
        throw Error("cannot find a function: it was generated at run time (in a REPL, for instance), after this worker was "
                    "forked or in a program that it is no fork of; use mp::StartMethod::fork and start the worker, or make "
                    "the pool, after the function is there");
    const auto range = os::mapped_at(reinterpret_cast<const void*>(address));
    if (!range) throw Error("cannot find a function: it was generated at run time, and its memory has been freed since");
    return *range;
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

[[noreturn]] void refuse(const ModuleId& id, std::uint64_t offset, const char* why) {
    const std::string where = id.generated ? "generated code" : module_of(id)->path;
    throw Error("cannot find a function: offset " + std::to_string(offset) + " of " + where + ' ' + why);
}

}  // namespace

EntryId identify(const EntryRecord& record) {
    const os::ModulePtr module = os::module_at(&record);
    if (!module) {
        const auto code = reinterpret_cast<std::uintptr_t>(static_cast<const Entry<void()>&>(record).code);
        return {name_of_generated(&record, record.type_hash ^ code), reinterpret_cast<std::uintptr_t>(&record),
                record.type_hash};
    }
    return {name_of(*module, "a function"), reinterpret_cast<std::uintptr_t>(&record) - module->base, record.type_hash};
}

bool lies_in_module(const EntryRecord& record) { return os::module_at(&record) != nullptr; }

// It reads whatever readable place it was told of, between two variables if need be, to see that there is no record.
[[gnu::no_sanitize_address]] const EntryRecord& resolve(const EntryId& id, std::uint64_t kind_hash) {
    using AnyEntry = Entry<void()>;  // the size of every entry
    std::uintptr_t address = id.offset;
    bool readable;
    if (id.module.generated) {
        const auto range = range_of_generated(id.module, address);
        readable = range.readable && sizeof(AnyEntry) <= range.end - address;
    } else {
        const os::ModulePtr module = module_of(id.module);
        address += module->base;
        readable = module->readable(address, sizeof(AnyEntry));
    }
    if (address % alignof(AnyEntry) != 0 || !readable) refuse(id.module, id.offset, "holds no data");
    const auto& entry = *reinterpret_cast<const AnyEntry*>(address);
    if (entry.magic != EntryRecord::expected_magic) refuse(id.module, id.offset, "holds no function record");
    if (entry.kind_hash != kind_hash) refuse(id.module, id.offset, "is the record of another kind of function");
    if (entry.type_hash != id.type_hash) refuse(id.module, id.offset, "is the record of a function with other types");
    return entry;
}

CodeId identify_code(void (*code)()) {
    if (code == nullptr) return {};
    const auto address = reinterpret_cast<std::uintptr_t>(code);
    const os::ModulePtr module = os::module_at(reinterpret_cast<const void*>(code));
    if (!module) {
        const auto range = os::mapped_at(reinterpret_cast<const void*>(code));
        if (!range || !range->readable || !range->executable)
            throw Error("cannot name a function pointer for a worker: it points to no code");
        // Another function may come to lie there; its first bytes tell them apart well enough.
        const std::string_view first_bytes(reinterpret_cast<const char*>(address),
                                           std::min<std::size_t>(64, range->end - address));
        return {name_of_generated(reinterpret_cast<const void*>(code), hash_text(first_bytes)), address};
    }
    return {name_of(*module, "a function pointer"), address - module->base};
}

void (*resolve_code(const CodeId& id))() {
    if (id.module.size == 0 && id.offset == 0) return nullptr;
    std::uintptr_t address = id.offset;
    bool executable;
    if (id.module.generated) {
        executable = range_of_generated(id.module, address).executable;
    } else {
        const os::ModulePtr module = module_of(id.module);
        address += module->base;
        executable = module->executable(address);
    }
    if (!executable) refuse(id.module, id.offset, "holds no code");
    return reinterpret_cast<void (*)()>(address);
}

}  // namespace mp::detail
