#include "os/symbolize.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "os/build_id.hpp"
#include "os/function_name.hpp"
#include "os/libdw.hpp"
#include "os/symbol_table.hpp"

namespace mp::os {
namespace {

/// Where a module can be read: as loaded in this process (also when its file was deleted or replaced meanwhile), or
/// under its recorded path.
std::vector<std::string> candidate_files(const RawModule& module) {
    std::vector<std::string> files;
    if (!module.build_id.empty()) {
        struct Search {
            const RawModule& module;
            std::vector<std::string>& files;
        } search{module, files};
        ::dl_iterate_phdr(
            [](dl_phdr_info* info, std::size_t, void* argument) {
                auto& [wanted, found] = *static_cast<Search*>(argument);
                dl_find_object object;
                if (info->dlpi_phnum == 0 || ::_dl_find_object(const_cast<ElfW(Phdr)*>(info->dlpi_phdr), &object) != 0)
                    return 0;
                const BuildId id = build_id_of_image(object.dlfo_map_start);
                if (!std::ranges::equal(id.bytes(), std::as_bytes(std::span(wanted.build_id)))) return 0;
                found.push_back(info->dlpi_name && *info->dlpi_name ? info->dlpi_name : "/proc/self/exe");
                return 1;
            },
            &search);
    }
    if (module.path.starts_with('/')) files.push_back(module.path);
    return files;
}

int find_elf(dw::Module*, void**, const char*, std::uint64_t, char**, dw::Elf**) { return -1; }

/// Separate debug information, by build-id and by debuglink, on this machine only: libdw's own search may ask a server.
int find_debuginfo(dw::Module* module, void**, const char*, std::uint64_t, const char* file, const char* link, std::uint32_t,
                   char** found) {
    std::vector<std::string> places;
    const unsigned char* id = nullptr;
    std::uint64_t address = 0;
    const int size = dw::api()->module_build_id(module, &id, &address);
    if (size > 1) {
        static constexpr char digits[] = "0123456789abcdef";
        std::string path = "/usr/lib/debug/.build-id/";
        for (int i = 0; i < size; ++i) {
            path += digits[id[i] >> 4];
            path += digits[id[i] & 15];
            if (i == 0) path += '/';
        }
        places.push_back(path + ".debug");
    }
    if (file && link && std::strchr(link, '/') == nullptr) {
        std::string folder(file);
        folder.erase(folder.rfind('/') + 1);
        places.push_back(folder + link);
        places.push_back(folder + ".debug/" + link);
        places.push_back("/usr/lib/debug" + folder + link);
    }
    for (const std::string& place : places) {
        if (file && place == file) continue;
        const int fd = ::open(place.c_str(), O_RDONLY | O_CLOEXEC);
        if (fd < 0) continue;
        *found = ::strdup(place.c_str());  // libdw frees it and closes the descriptor
        return fd;
    }
    return -1;
}

int section_address(dw::Module*, void**, const char*, std::uint64_t, const char*, std::uint32_t, const void*,
                    std::uint64_t*) {
    return -1;  // only relocatable files would ask
}

constexpr dw::Callbacks callbacks{find_elf, find_debuginfo, section_address, nullptr};

/// One module opened by libdw, at load address 0.
class DebugInfo {
  public:
    static std::unique_ptr<DebugInfo> open(const RawModule& module) {
        if (!dw::api()) return nullptr;
        for (const std::string& file : candidate_files(module)) {
            auto info = std::make_unique<DebugInfo>(file);
            if (info->module_ && info->is(module.build_id)) return info;
        }
        return nullptr;
    }

    explicit DebugInfo(const std::string& file) : dwfl_(api_.begin(&callbacks)) {
        if (!dwfl_) return;
        api_.report_begin(dwfl_);
        module_ = api_.report_elf(dwfl_, file.c_str(), file.c_str(), -1, 0, true);
        api_.report_end(dwfl_, nullptr, nullptr);
    }
    DebugInfo(const DebugInfo&) = delete;
    ~DebugInfo() {
        if (dwfl_) api_.end(dwfl_);
    }

    /// The frames at an address, innermost first: the inlined ones and the function itself.
    std::vector<StackFrame> frames_at(std::uint64_t address) const {
        std::vector<StackFrame> frames;
        StackFrame next;
        std::uint64_t bias = 0;
        dw::Die* unit = unit_of(address, bias);
        if (dw::Line* line = unit ? api_.getsrc_die(unit, address - bias) : nullptr) {
            if (const char* file = api_.linesrc(line, nullptr, nullptr)) next.file = file;
            api_.lineno(line, &next.line);
        }
        for (dw::Die& scope : unit ? scopes_at(*unit, address - bias) : std::vector<dw::Die>()) {
            const int tag = api_.tag(&scope);
            if (tag != dw::tag_inlined_subroutine && tag != dw::tag_subprogram) continue;
            next.inlined = tag == dw::tag_inlined_subroutine;
            next.function = name_of(scope, next.inlined ? nullptr : api_.module_addrname(module_, address));
            frames.push_back(next);
            if (!next.inlined) return frames;
            next = call_site(scope, *unit);
        }
        // No debug information, or none that reaches the function itself: the symbol table knows its name.
        if (const char* name = api_.module_addrname(module_, address)) next.function = without_signature(demangle(name));
        next.inlined = false;
        frames.push_back(next);
        return frames;
    }

  private:
    bool is(const std::vector<unsigned char>& build_id) const {
        if (build_id.empty()) return true;
        const unsigned char* id = nullptr;
        std::uint64_t address = 0;
        const int size = api_.module_build_id(module_, &id, &address);
        return size > 0 && std::equal(id, id + size, build_id.begin(), build_id.end());
    }

    /// The compilation unit of an address. clang writes no index of addresses, and libdw then guesses: each is asked.
    dw::Die* unit_of(std::uint64_t address, std::uint64_t& bias) const {
        dw::Die* unit = api_.module_addrdie(module_, address, &bias);
        if (unit && api_.haspc(unit, address - bias) > 0) return unit;
        unit = nullptr;
        while ((unit = api_.module_nextcu(module_, unit, &bias)))
            if (api_.haspc(unit, address - bias) > 0) return unit;
        return nullptr;
    }

    std::vector<dw::Die> take(dw::Die* list, int count) const {
        std::vector<dw::Die> scopes;
        if (count > 0) scopes.assign(list, list + count);
        if (count >= 0) std::free(list);
        return scopes;
    }

    std::vector<dw::Die> scopes_at(dw::Die& unit, std::uint64_t address) const {
        dw::Die* list = nullptr;
        const int count = api_.getscopes(&unit, address, &list);
        auto scopes = take(list, count);
        for (dw::Die& scope : scopes) {
            const int tag = api_.tag(&scope);
            if (tag != dw::tag_inlined_subroutine && tag != dw::tag_subprogram) continue;
            // Past an inlined function getscopes goes on with where it was written; this gives where it was inlined.
            dw::Die* real = nullptr;
            const int real_count = api_.getscopes_die(&scope, &real);
            return take(real, real_count);
        }
        return {};
    }

    /// `mp::os::(anonymous namespace)::name` for a function without external linkage: only its scopes qualify it.
    std::string qualified_name_of(dw::Die scope) const {
        // An inlined or separately defined function stands where it is declared.
        for (const unsigned code : {dw::at_abstract_origin, dw::at_specification}) {
            dw::Attribute attribute;
            dw::Die declared;
            if (api_.attr(&scope, code, &attribute) && api_.formref_die(&attribute, &declared)) scope = declared;
        }
        const char* own = api_.diename(&scope);
        if (!own) return {};
        std::string name = own;
        dw::Die* list = nullptr;
        const int count = api_.getscopes_die(&scope, &list);
        for (dw::Die& outer : take(list, count)) {
            const int tag = api_.tag(&outer);
            if (tag != dw::tag_namespace && tag != dw::tag_class && tag != dw::tag_structure) continue;
            const char* part = api_.diename(&outer);
            name = std::string(part ? part : "(anonymous namespace)") + "::" + name;
        }
        return name;
    }

    /// `symbol`: what the symbol table says of the address. Where there is one it knows template arguments as well.
    std::string name_of(dw::Die& scope, const char* symbol) const {
        dw::Attribute attribute;
        for (const unsigned code : {dw::at_linkage_name, dw::at_mips_linkage_name})
            if (const char* name = api_.formstring(api_.attr_integrate(&scope, code, &attribute)))
                return without_signature(demangle(name));
        if (symbol && std::strncmp(symbol, "_Z", 2) == 0) return without_signature(demangle(symbol));
        return qualified_name_of(scope);
    }

    StackFrame call_site(dw::Die& scope, dw::Die& unit) const {
        StackFrame frame;
        dw::Attribute attribute;
        std::uint64_t number = 0;
        if (api_.formudata(api_.attr_integrate(&scope, dw::at_call_line, &attribute), &number) == 0)
            frame.line = static_cast<int>(number);
        dw::Files* files = nullptr;
        std::size_t count = 0;
        if (api_.formudata(api_.attr_integrate(&scope, dw::at_call_file, &attribute), &number) == 0 &&
            api_.getsrcfiles(&unit, &files, &count) == 0 && number < count) {
            if (const char* file = api_.filesrc(files, number, nullptr, nullptr)) frame.file = file;
        }
        return frame;
    }

    const dw::Api& api_ = *dw::api();
    dw::Dwfl* dwfl_ = nullptr;
    dw::Module* module_ = nullptr;
};

std::vector<StackFrame> from_symbol_table(const RawModule& module, std::uint64_t address) {
    StackFrame frame;
    for (const std::string& file : candidate_files(module)) {
        const std::string name = symbols_at(file, module.build_id, {address}).front();
        if (name.empty()) continue;
        frame.function = without_signature(demangle(name.c_str()));
        break;
    }
    return {frame};
}

/// What was found out already: the same code crashes again and again. Bounded; keyed by contents, so that a new build
/// under the same path is another module.
class Cache {
  public:
    using Key = std::pair<std::string, std::uint64_t>;

    std::optional<std::vector<StackFrame>> find(const Key& key) {
        const auto found = entries_.find(key);
        return found == entries_.end() ? std::nullopt : std::optional(found->second);
    }
    void insert(const Key& key, const std::vector<StackFrame>& frames) {
        if (entries_.size() >= 4096) entries_.clear();
        entries_.emplace(key, frames);
    }

  private:
    std::map<Key, std::vector<StackFrame>> entries_;
};

std::string key_of(const RawModule& module) {
    if (module.build_id.empty()) return module.path;
    return {reinterpret_cast<const char*>(module.build_id.data()), module.build_id.size()};
}

std::vector<StackFrame> symbolize_all(const RawStack& raw) {
    // One lock around libdw, which is not made for threads, and the cache.
    static std::mutex mutex;
    static Cache cache;
    const std::lock_guard guard(mutex);

    std::vector<StackFrame> frames;
    std::map<std::uint32_t, std::unique_ptr<DebugInfo>> opened;
    for (const RawFrame& from : raw.frames) {
        if (from.module >= raw.modules.size()) {
            StackFrame unknown;
            unknown.offset = from.offset;
            frames.push_back(std::move(unknown));
            continue;
        }
        const RawModule& module = raw.modules[from.module];
        const std::uint64_t address = from.offset - (from.return_address ? 1 : 0);
        const Cache::Key key(key_of(module), address);
        auto found = cache.find(key);
        if (!found) {
            const auto [at, is_new] = opened.try_emplace(from.module);
            if (is_new) at->second = DebugInfo::open(module);
            found = at->second ? at->second->frames_at(address) : from_symbol_table(module, address);
            cache.insert(key, *found);
        }
        for (StackFrame& frame : *found) {
            frame.module = module.path;
            frame.offset = address;
            frame.internal = is_internal_function(frame.function);
            frames.push_back(std::move(frame));
        }
    }
    return frames;
}

}  // namespace

std::vector<StackFrame> symbolize(const RawStack& raw) {
    try {
        return symbolize_all(raw);
    } catch (...) {  // memory ran out: an error is being reported already
        return {};
    }
}

}  // namespace mp::os
