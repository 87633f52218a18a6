#include "os/modules.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>

#include "os/retry.hpp"
#include "os/unique_fd.hpp"

// Weak, so that a program linked with -static neither needs it nor is warned about it by the linker; there it is null.
extern "C" [[gnu::weak]] void* dlopen(const char*, int) noexcept(noexcept(::dlopen(nullptr, 0)));
extern "C" [[gnu::weak]] char* dlerror() noexcept;
#ifdef DLFO_STRUCT_HAS_EH_DBASE
#define MP_HAS_FIND_OBJECT 1
extern "C" [[gnu::weak]] int _dl_find_object(void*, dl_find_object*) noexcept;  // glibc 2.35
#else
#define MP_HAS_FIND_OBJECT 0
#endif

namespace mp::os {
namespace {

struct Range {
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    bool operator==(const Range&) const = default;
    bool contains(std::uintptr_t address) const { return address >= begin && address < end; }
};

/// What the loader has at an address: the range of the module and the name that it was loaded by.
struct Place {
    Range range;
    const char* name = "";
};

/// The module around `address`, from the loader's lock-free table; none when that is missing (old C library) or knows no
/// such module.
std::optional<Place> place_around([[maybe_unused]] std::uintptr_t address) {
#if MP_HAS_FIND_OBJECT
    dl_find_object object;
    if (_dl_find_object != nullptr && _dl_find_object(reinterpret_cast<void*>(address), &object) == 0)
        return Place{{reinterpret_cast<std::uintptr_t>(object.dlfo_map_start),
                      reinterpret_cast<std::uintptr_t>(object.dlfo_map_end)},
                     object.dlfo_link_map->l_name};
#endif
    return std::nullopt;
}

/// A module that was found, and how to see that it is still the one that is loaded there: the same range, the same name -
/// a copy of the file may have been loaded in its place, and the first file be gone - and the same build-id in memory.
/// Without a build-id that cannot be seen, so such a module is never remembered.
struct Known {
    Range range;
    std::string name;
    ModulePtr module;

    bool still_loaded_at(const Place& now) const {
        return range == now.range && name == now.name &&
               std::memcmp(module->build_id_note, module->build_id.bytes().data(), module->build_id.bytes().size()) == 0;
    }
};

class Cache {
  public:
    /// The pointers stay good for ever, so that a thread may keep one.
    const Known* at(const Place& place) {
        const std::lock_guard lock(mutex_);
        const auto found = by_begin_.find(place.range.begin);
        return found != by_begin_.end() && found->second->still_loaded_at(place) ? found->second : nullptr;
    }
    ModulePtr with(const BuildId& build_id) {
        const std::lock_guard lock(mutex_);
        for (const auto& [begin, known] : by_begin_) {
            if (known->module->build_id != build_id) continue;
            const auto now = place_around(reinterpret_cast<std::uintptr_t>(known->module->build_id_note));
            if (now && known->still_loaded_at(*now)) return known->module;
        }
        return nullptr;
    }
    void remember(const Known& known) {
        const std::lock_guard lock(mutex_);
        by_begin_.insert_or_assign(known.range.begin, &all_.emplace_back(known));
    }

  private:
    std::mutex mutex_;
    std::deque<Known> all_;  // one for each module that functions come from, unloaded ones included
    std::unordered_map<std::uintptr_t, const Known*> by_begin_;
};

Cache& cache() {
    // Never destroyed: static destructors of the program may still call.
    static Cache& instance = *new Cache;  // NOLINT(cppcoreguidelines-owning-memory)
    return instance;
}

Module describe(const dl_phdr_info& info, bool is_program) {
    Module module;
    module.path = info.dlpi_name ? info.dlpi_name : "";
    module.base = info.dlpi_addr;
    module.is_program = is_program;
    for (unsigned i = 0; i < info.dlpi_phnum; ++i) {
        const auto& header = info.dlpi_phdr[i];
        const std::uintptr_t begin = info.dlpi_addr + header.p_vaddr;
        if (header.p_type == PT_LOAD)
            module.segments.push_back(
                {begin, begin + header.p_memsz, (header.p_flags & PF_R) != 0, (header.p_flags & PF_X) != 0});
    }
    for (unsigned i = 0; i < info.dlpi_phnum && module.build_id.empty(); ++i) {
        const auto& header = info.dlpi_phdr[i];
        const std::uintptr_t begin = info.dlpi_addr + header.p_vaddr;
        if (header.p_type != PT_NOTE || !module.readable(begin, header.p_filesz)) continue;
        const std::span notes(reinterpret_cast<const std::byte*>(begin), header.p_filesz);
        if (const auto id = find_build_id(notes, header.p_align); !id.empty()) {
            module.build_id = BuildId(id);
            module.build_id_note = id.data();
        }
    }
    return module;
}

/// The first loaded module that `wanted` accepts, described while the loader's lock keeps it loaded.
template <class Wanted>
ModulePtr search(Wanted wanted) {
    struct State {
        Wanted& wanted;
        bool first = true;
        std::optional<Module> found;
    } state{wanted, true, {}};
    ::dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* data) {
            auto& s = *static_cast<State*>(data);
            Module module = describe(*info, std::exchange(s.first, false));
            if (!s.wanted(module)) return 0;
            s.found = std::move(module);
            return 1;
        },
        &state);
    if (!state.found) return nullptr;

    // The program's name is empty here, and a library opened as ./plugin.so has a path that ends with the next chdir.
    Module& module = *state.found;
    if (module.path.empty() || module.path[0] != '/') {
        const auto at = module.build_id_note ? module.build_id_note : reinterpret_cast<const std::byte*>(module.base);
        if (auto range = mapped_at(at); range && !range->file.empty()) module.path = std::move(range->file);
    }
    const auto result = std::make_shared<const Module>(std::move(module));
    if (!result->build_id.empty())
        if (const auto place = place_around(reinterpret_cast<std::uintptr_t>(result->build_id_note)))
            cache().remember({place->range, place->name, result});
    return result;
}

}  // namespace

bool Module::readable(std::uintptr_t address, std::size_t size) const {
    return std::any_of(segments.begin(), segments.end(), [&](const Segment& segment) {
        return segment.readable && address >= segment.begin && address < segment.end && size <= segment.end - address;
    });
}

bool Module::executable(std::uintptr_t address) const {
    return std::any_of(segments.begin(), segments.end(), [&](const Segment& segment) {
        return segment.executable && address >= segment.begin && address < segment.end;
    });
}

ModulePtr module_at(const void* pointer) {
    const auto address = reinterpret_cast<std::uintptr_t>(pointer);
    thread_local const Known* last = nullptr;
    if (const auto place = place_around(address)) {
        if (last == nullptr || !last->still_loaded_at(*place)) last = cache().at(*place);
        if (last != nullptr) return last->module;
    }
    return search([&](const Module& module) {
        return std::any_of(module.segments.begin(), module.segments.end(),
                           [&](const Module::Segment& segment) { return Range{segment.begin, segment.end}.contains(address); });
    });
}

ModulePtr module_with(const BuildId& build_id) {
    if (build_id.empty()) return nullptr;
    if (ModulePtr known = cache().with(build_id)) return known;
    return search([&](const Module& module) { return module.build_id == build_id; });
}

ModulePtr main_module() {
    return search([](const Module& module) { return module.is_program; });
}

LoadedModule load_module(const std::string& path, const BuildId& build_id) {
    // Without a slash dlopen would search, and a relative path means another file after a chdir.
    if (path.empty() || path[0] != '/') return {nullptr, false, "its path is not absolute"};
    const UniqueFd file(retry([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); }));
    if (!file) return {nullptr, false, std::generic_category().message(errno)};
    const auto on_disk = build_id_of_file(file.get());
    if (!on_disk) return {nullptr, false, "it is not a shared library for this machine"};
    if (*on_disk != build_id) return {nullptr, true, {}};
    if (dlopen == nullptr) return {nullptr, false, "this program is linked with -static and cannot load libraries"};
    if (::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) == nullptr) {
        const char* text = dlerror != nullptr ? ::dlerror() : nullptr;
        return {nullptr, false, text ? text : "dlopen failed"};
    }
    if (ModulePtr module = module_with(build_id)) return {module, false, {}};
    return {nullptr, true, {}};  // replaced between the check and the loading
}

std::optional<MappedRange> mapped_at(const void* pointer) {
    const auto address = reinterpret_cast<std::uintptr_t>(pointer);
    struct Close {
        void operator()(std::FILE* file) const { std::fclose(file); }
    };
    const std::unique_ptr<std::FILE, Close> maps(std::fopen("/proc/self/maps", "re"));
    if (!maps) return std::nullopt;
    char* line = nullptr;
    std::size_t capacity = 0;
    std::optional<MappedRange> result;
    while (::getline(&line, &capacity, maps.get()) > 0) {
        unsigned long begin = 0;
        unsigned long end = 0;
        char rights[5] = {};
        int path_at = 0;
        if (std::sscanf(line, "%lx-%lx %4s %*s %*s %*s %n", &begin, &end, rights, &path_at) < 3) continue;
        if (address < begin || address >= end) continue;
        result = {begin, end, rights[0] == 'r', rights[2] == 'x', {}};
        if (path_at > 0 && line[path_at] == '/') result->file = line + path_at;
        while (!result->file.empty() && result->file.back() == '\n') result->file.pop_back();
        break;
    }
    std::free(line);  // NOLINT: getline's
    return result;
}

}  // namespace mp::os
