// A task that runs until it is told to end.
#pragma once

#include <string>

#include <gtest/gtest.h>

#include "pool/pool_fixture.hpp"

namespace mp::test {

/// Has begun when the constructor returns.
class TaskUnderWay {
  public:
    TaskUnderWay(Pool& pool, const std::string& label)
        : future_(pool.submit(
              {.label = label},
              [](mp::Event started, mp::Event end) {
                  started.set();
                  end.wait();
              },
              running_, go_on_)) {
        EXPECT_TRUE(running_.wait_for(patience));
    }
    TaskUnderWay(const TaskUnderWay&) = delete;
    /// Lets it go on: a test that fails before does not hold its pool.
    ~TaskUnderWay() { go_on_.set(); }

    Future<void>& future() { return future_; }
    void let_go() { go_on_.set(); }
    /// Lets it go on, and waits for its end.
    void end() {
        let_go();
        future_.get();
    }

  private:
    mp::Event running_, go_on_;
    mp::Future<void> future_;
};

}  // namespace mp::test
