#include "pool/watchers.hpp"

#include <utility>

#include "pool/callback_thread.hpp"

namespace mp::pool {

void Watchers::add(std::shared_ptr<detail::Completion> completion, detail::CallbackThread* expecting) {
    if (expecting) expecting->expect();
    if (!first_.completion) {
        first_ = {std::move(completion), expecting};
        return;
    }
    if (!others_) others_ = std::make_unique<std::vector<Watcher>>();
    others_->push_back({std::move(completion), expecting});
}

void Watchers::came(const Watcher& watcher) {
    if (watcher.expecting) watcher.expecting->came();
}

void Watchers::remove(const detail::Completion& completion) {
    const auto is_it = [&](const Watcher& watcher) {
        if (watcher.completion.get() != &completion) return false;
        came(watcher);
        return true;
    };
    if (is_it(first_)) first_ = {};
    if (others_) std::erase_if(*others_, is_it);
}

void Watchers::tell() {
    const auto tell = [](const Watcher& watcher) {
        watcher.completion->completed();
        came(watcher);
    };
    if (const auto first = std::exchange(first_, {}); first.completion) tell(first);
    if (const auto others = std::exchange(others_, nullptr))
        for (const auto& watcher : *others) tell(watcher);
}

}  // namespace mp::pool
