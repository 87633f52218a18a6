// Types that cannot be sent; each case is one, and tests/serial/area.cmake has the sentence for it.
#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include <multiprocessing/serialize.hpp>

template <class T>
const T& any_value();

template <class T>
void send() {
    mp::serial::Writer writer;
    mp::serial::encode(writer, any_value<T>());
    mp::serial::Reader reader(writer.bytes());
    static_cast<void>(mp::serial::decode<T>(reader));
}

struct Nested {
    std::vector<int*> pointers;
};
struct Outer {
    std::string name;
    std::map<int, Nested> nested;
};
struct HoldsReference {
    const std::string& name;
};
struct PlainReference {
    int& value;
};
struct Polymorphic {
    virtual ~Polymorphic() = default;
    int x = 0;
};
class Private {
  public:
    explicit Private(std::string text) : text_(std::move(text)) {}

  private:
    std::string text_;
};
class PrivatePointer {
  public:
    constexpr explicit PrivatePointer(int* p) : p_(p) {}

  private:
    int* p_;
};
class NoDefault {
  public:
    explicit NoDefault(int x) : x_(x) {}
    template <class Archive>
    void serialize(Archive& ar) {
        ar(x_);
    }

  private:
    int x_;
};
struct BadInside {
    int* pointer = nullptr;
    template <class Archive>
    void serialize(Archive& ar) {
        ar(pointer);
    }
};
struct Base {
    std::string b;
};
struct Derived : Base {
    std::string d;
};
union Union {
    int i;
    float f;
};
struct HoldsUnion {
    int kind;
    Union u;
};

int main() {
#if defined(CASE_fine)
    send<std::tuple<int, std::string>>();
#elif defined(CASE_pointer)
    send<int*>();
#elif defined(CASE_char_pointer)
    send<const char*>();
#elif defined(CASE_nested_pointer)
    send<Outer>();
#elif defined(CASE_reference)
    send<HoldsReference>();
#elif defined(CASE_plain_reference)
    send<PlainReference>();
#elif defined(CASE_tuple_of_references)
    send<std::tuple<int&>>();
#elif defined(CASE_string_view)
    send<std::vector<std::string_view>>();
#elif defined(CASE_span)
    send<std::span<const int>>();
#elif defined(CASE_member_pointer)
    send<int Nested::*>();
#elif defined(CASE_polymorphic)
    send<Polymorphic>();
#elif defined(CASE_polymorphic_pointee)
    send<std::unique_ptr<Polymorphic>>();
#elif defined(CASE_no_serialize)
    send<Private>();
#elif defined(CASE_private_pointer)
    send<PrivatePointer>();
#elif defined(CASE_no_default)
    send<NoDefault>();
#elif defined(CASE_inside_serialize)
    send<BadInside>();
#elif defined(CASE_derived)
    send<Derived>();
#elif defined(CASE_union)
    send<HoldsUnion>();
#elif defined(CASE_stateful_order)
    send<std::set<int, bool (*)(int, int)>>();
#elif defined(CASE_lock)
    send<std::recursive_mutex>();
#elif defined(CASE_condition)
    send<std::condition_variable>();
#elif defined(CASE_atomic)
    send<std::atomic<int>>();
#elif defined(CASE_reference_wrapper)
    send<std::vector<std::reference_wrapper<int>>>();
#elif defined(CASE_std_function)
    send<std::function<void()>>();
#endif
}
