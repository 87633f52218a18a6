// Who is told when a task or a map is over.
#pragma once

#include <memory>
#include <vector>

#include <multiprocessing/detail/engine.hpp>

namespace mp::pool {

/// Under the engine's lock. Most things have one, who needs no allocation.
class Watchers {
  public:
    /// `expecting`: sees to it that the end is noticed soon; may be null.
    void add(std::shared_ptr<detail::Completion> completion, detail::CallbackThread* expecting = nullptr);
    void remove(const detail::Completion& completion);
    bool empty() const { return !first_.completion && !others_; }
    /// Tells them, and forgets them.
    void tell();

  private:
    struct Watcher {
        std::shared_ptr<detail::Completion> completion;
        detail::CallbackThread* expecting = nullptr;
    };
    static void came(const Watcher& watcher);

    Watcher first_;
    std::unique_ptr<std::vector<Watcher>> others_;
};

}  // namespace mp::pool
