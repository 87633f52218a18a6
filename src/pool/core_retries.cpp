// What becomes of a task or an element that failed: given up, or tried again.
#include "pool/core.hpp"

namespace mp::detail {

using pool::FailureKind;
using pool::Job;

// Nobody has the task any more.
void PoolCore::task_failed(const Lock& lock, PoolTask& task, std::size_t index, std::exception_ptr error, FailureKind kind) {
    const Retries& retries = task.terms->retries;
    if (kind == FailureKind::timeout) insight_.timed_out(index, info(task).to_string());
    if (terminated_ || !broken_.empty() || !pool::may_retry(retries, task.failures(), kind)) {
        fail(lock, task, std::move(error));
        return;
    }
    ++task.rarely().failures.of[static_cast<std::size_t>(kind)];
    ++life_[index].retries;
    insight_.retried(index, info(task).to_string());
    task.state.store(PoolTask::State::pending, std::memory_order_relaxed);
    if (retries.when) {
        task.place = PoolTask::Place::asking;
        ask({task.self, nullptr, 0, std::move(error)});
    } else {
        try_again(task);
    }
}

void PoolCore::try_again(PoolTask& task) {
    const auto wait = pool::delay_before(task.terms->retries.delay, task.failures().attempt(), options_.seed,
                                         task.index == PoolTask::no_index ? task.call : task.index);
    if (wait.count() == 0) {
        task.place = PoolTask::Place::schedule;
        schedule_.submit_first(reinterpret_cast<std::uintptr_t>(&task));
    } else {
        const auto due = Clock::now() + wait;
        task.place = PoolTask::Place::delayed;
        task.rarely().again = delayed_.emplace(due, &task);
        expect_look(due);
    }
}

void PoolCore::element_failed(const Lock&, const std::shared_ptr<Job>& job, std::size_t index, std::uint64_t element,
                              std::exception_ptr error, FailureKind kind) {
    // By the caller and not by the worker, which may die between the frame and that.
    states(*job)[element].store(static_cast<std::uint8_t>(ElementState::failed), std::memory_order_relaxed);
    // Of a map that is being stopped, it is what all elements without a result end with.
    if (job->stopped != Job::Stopped::no || job->failure) return;
    const Retries& retries = job->terms.retries;
    if (kind == FailureKind::timeout) insight_.timed_out(index, info(*job, element * job->group).to_string());
    const auto known = job->failures.find(element);
    if (terminated_ || !pool::may_retry(retries, known == job->failures.end() ? pool::FailureCounts{} : known->second, kind)) {
        job->errors.emplace(element, std::move(error));
        return;
    }
    ++job->failures[element].of[static_cast<std::size_t>(kind)];
    ++life_[index].retries;
    insight_.retried(index, info(*job, element * job->group).to_string());
    if (retries.when) {
        ++job->taking_part;  // so that the map does not end before the answer
        ask({nullptr, job, element, std::move(error)});
    } else {
        try_again(*job, element);
    }
}

void PoolCore::try_again(Job& job, std::uint64_t element) {
    const auto wait = pool::delay_before(job.terms.retries.delay, job.attempt(element), options_.seed, element);
    job.again.push_back({element, wait.count() == 0 ? Clock::time_point::min() : Clock::now() + wait});
}

void PoolCore::ask(Question question) {
    questions_.push_back(std::move(question));
    wake_watch();
}

// Lets Retries::when decide, one by one and without the lock: it is the user's code.
void PoolCore::answer_questions() {
    Lock lock(mutex_);
    while (!questions_.empty()) {
        const Question question = std::move(questions_.front());
        questions_.pop_front();
        if (question.task ? question.task->done() : question.job->done) continue;
        const auto when = question.task ? question.task->terms->retries.when : question.job->terms.retries.when;
        asking_ = true;
        lock.unlock();
        bool again = false;
        try {
            again = when(Failure(question.error));
        } catch (...) {
            again = false;
        }
        lock.lock();
        asking_ = false;
        if (terminated_ || !broken_.empty()) again = false;
        if (PoolTask* task = question.task.get()) {
            if (task->place == PoolTask::Place::asking && !task->done()) {
                if (again) try_again(*task);
                else fail(lock, *task, question.error);
            }
        } else if (!question.job->done) {
            if (again) try_again(*question.job, question.element);
            else question.job->errors.emplace(question.element, question.error);
            left(lock, question.job);
        }
        hand_out(lock);
        wake_callers();
    }
}

}  // namespace mp::detail
