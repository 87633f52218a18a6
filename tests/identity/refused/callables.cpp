// Callables that mp::check_callable refuses, one at a time; see area.cmake for the sentence each must give.
#include <functional>
#include <string>
#include <utility>

#include <multiprocessing/function.hpp>

int twice(int x) { return 2 * x; }

template <class F>
void pass(const F&) {
    mp::check_callable<F>();
}

struct Owner {
    int value = 1;
#if defined(CASE_this)
    void use() {
        pass([this](int x) { return value * x; });
    }
#endif
};

class Hidden {
  public:
    explicit Hidden(std::string text) : text_(std::move(text)) {}
    int operator()(int x) const { return x + static_cast<int>(text_.size()); }

  private:
    std::string text_;
};

int main() {
    [[maybe_unused]] int k = 1;
    [[maybe_unused]] const std::string text = "text";
#if defined(CASE_by_reference)
    pass([&k](int x) { return k * x; });
#elif defined(CASE_pointer)
    pass([p = &k](int x) { return *p * x; });
#elif defined(CASE_this)
    Owner().use();
#elif defined(CASE_object)
    pass([text](int x) { return text.size() + static_cast<unsigned>(x); });
#elif defined(CASE_std_function)
    pass(std::function<int(int)>(twice));
#elif defined(CASE_data_member)
    pass(&Owner::value);
#elif defined(CASE_bound_reference)
    pass(mp::bind([&k](int x) { return k * x; }, 1));
#elif defined(CASE_bound_text)
    pass(mp::bind([](const std::string&, int x) { return x; }, "text"));
#elif defined(CASE_bound_pointer)
    pass(mp::bind([](int* p, int x) { return *p * x; }, &k));
#elif defined(CASE_hidden_class)
    pass(Hidden(text));
#elif defined(CASE_trusted_object)
    mp::trust([text](int x) { return text.size() + static_cast<unsigned>(x); });
#else
    pass(twice);
    pass([k](int x) { return k * x; });
    pass(mp::bind([](const std::string&, int x) { return x; }, text));
#endif
}
