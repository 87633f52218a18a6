#include "pool/callable_table.hpp"

#include <algorithm>
#include <cstring>

namespace mp::pool {

namespace {

os::ModulePtr library_at(const void* address) {
    os::ModulePtr module = address ? os::module_at(address) : nullptr;
    return module && module->is_program ? nullptr : module;
}

// The addresses still mean what they did: no plugin has been unloaded, and another one loaded in its place; nor has code of
// a REPL been undone.
bool still_loaded(const Callable& callable, const detail::CallableSpec& spec) {
    return (!callable.entry_module || os::module_at(spec.entry) == callable.entry_module) &&
           (!callable.code_module || os::module_at(spec.code) == callable.code_module) &&
           (!callable.entry.module.generated || detail::identify(*spec.entry) == callable.entry);
}

}  // namespace

// The same callable with the same state is sent to a worker only once.
std::shared_ptr<Callable> CallableTable::intern(const detail::CallableSpec& spec) {
    constexpr std::size_t most = 1024;
    constexpr std::size_t largest_key = 256;
    if (spec.keyed && spec.entry == last_entry_ && spec.key.size() == last_key_.size() &&
        (spec.key.empty() || std::memcmp(spec.key.data(), last_key_.data(), last_key_.size()) == 0) &&
        (last_callable_->lasting || still_loaded(*last_callable_, spec)))
        return last_callable_;
    std::string key(reinterpret_cast<const char*>(&spec.entry), sizeof spec.entry);
    key.append(reinterpret_cast<const char*>(spec.key.data()), spec.key.size());
    const bool shared = spec.keyed && key.size() <= largest_key;
    auto remember = [&](const std::shared_ptr<Callable>& callable) {
        last_entry_ = spec.entry;
        last_key_.assign(spec.key.begin(), spec.key.end());
        last_callable_ = callable;
        return callable;
    };
    if (shared)
        if (const auto found = callables_.find(key); found != callables_.end() && still_loaded(*found->second, spec))
            return remember(found->second);

    auto callable = std::make_shared<Callable>();
    callable->entry = detail::identify(*spec.entry);
    serial::Writer writer;
    spec.encode(writer, spec.function);
    callable->state.assign(writer.bytes().begin(), writer.bytes().end());
    callable->handles.assign(writer.handles().begin(), writer.handles().end());
    callable->code = spec.code;
    callable->type = spec.type;
    if (next_ >= most) {
        // Closures with ever new values: the workers start their tables anew.
        next_ = 0;
        ++generation_;
        callables_.clear();
    }
    callable->number = next_++;
    callable->generation = generation_;
    callable->shared = shared;
    callable->entry_module = library_at(spec.entry);
    callable->code_module = library_at(spec.code);
    callable->lasting = !callable->entry_module && !callable->code_module && !callable->entry.module.generated;
    if (!shared) return callable;
    callables_.insert_or_assign(std::move(key), callable);
    return remember(callable);
}

void CallableTable::renew(Callable& callable) {
    if (callable.generation == generation_) return;
    callable.generation = generation_;
    callable.number = next_++;
}

}  // namespace mp::pool
