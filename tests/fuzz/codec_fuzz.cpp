// Reads every kind of type from arbitrary bytes. What is accepted must survive being packed and read again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include <bitset>
#include <complex>
#include <deque>
#include <filesystem>
#include <forward_list>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <system_error>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <valarray>
#include <variant>
#include <vector>

#include <multiprocessing/serialize.hpp>

namespace {

using namespace mp::serial;

enum class Colour : unsigned char { red };

struct Plain {
    int a = 0;
    bool b = false;
    Colour c{};
    bool d[3] = {};
    double e = 0;
};
struct Tree {
    std::string name;
    std::vector<Tree> children;
    std::unique_ptr<Tree> next;
    std::shared_ptr<Tree> shared;
    std::optional<Plain> plain;
};
struct Written {
    std::vector<bool> bits;
    std::string names[2];
    template <class Archive>
    void serialize(Archive& ar) {
        ar(bits, names);
    }
};
struct Mixed {
    std::variant<std::monostate, int, std::string, std::vector<Plain>> variant;
    std::map<std::string, std::vector<double>> map;
    std::unordered_map<int, std::unique_ptr<Plain>> table;
    std::multiset<std::string> set;
    std::unordered_set<std::string> names;
    std::array<std::optional<bool>, 3> flags;
};

template <class T>
void try_type(std::span<const std::byte> bytes) {
    Writer first;
    try {
        Reader reader(bytes);
        const T value = decode<T>(reader);
        encode(first, value);
    } catch (const mp::SerializationError&) {
        return;
    }
    // Once more: what we packed ourselves must be readable to its end.
    Reader reader(first.bytes());
    const T again = decode<T>(reader);
    reader.finish();
    Writer second;
    encode(second, again);
    if (first.bytes().size() != second.bytes().size()) {
        std::abort();
    }
}

using Try = void (*)(std::span<const std::byte>);
constexpr Try tries[] = {
    try_type<bool>,
    try_type<Plain>,
    try_type<Tree>,
    try_type<Written>,
    try_type<Mixed>,
    try_type<std::string>,
    try_type<std::u32string>,
    try_type<std::vector<Plain>>,
    try_type<std::vector<bool>>,
    try_type<std::vector<std::string>>,
    try_type<std::deque<std::pair<int, bool>>>,
    try_type<std::list<std::tuple<>>>,
    try_type<std::forward_list<std::optional<int>>>,
    try_type<std::valarray<std::complex<float>>>,
    try_type<std::vector<std::shared_ptr<std::string>>>,
    try_type<std::tuple<std::shared_ptr<int>, std::shared_ptr<std::string>, std::weak_ptr<int>>>,
    try_type<std::bitset<77>>,
    try_type<std::filesystem::path>,
    try_type<std::error_code>,
    try_type<std::map<std::set<int>, std::vector<std::vector<std::array<std::string, 0>>>>>,
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size != 0) {
        tries[data[0] % std::size(tries)](std::as_bytes(std::span(data + 1, size - 1)));
    }
    return 0;
}
