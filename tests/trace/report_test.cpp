// The report as a browser shows it. Each test gives the page a script of its own that does something and says what came
// of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "support/run_program.hpp"
#include "trace/sample_recording.hpp"

namespace mp::trace {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

/// The document of `page` after its scripts have run, as chromium prints it.
std::string shown(std::string page, const std::string& script, const std::string& fragment = {}) {
    std::string folder = testing::TempDir() + "report-XXXXXX";
    if (!::mkdtemp(folder.data())) return "no temporary folder";
    const std::string file = folder + "/report.html";
    page.insert(page.rfind("</body>"),
                "<script>(() => { const said = document.createElement('pre'); said.id = 'said';"
                "document.body.append(said); const say = text => said.append(text + '\\n');"
                "addEventListener('error', e => say('ERROR ' + e.message));" +
                    script + "})();</script>");
    std::ofstream(file) << page;
    const auto result =
        test::run_program({"chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
                           "--no-first-run", "--disable-background-networking", "--disable-component-update",
                           "--disable-sync", "--user-data-dir=" + folder + "/profile", "--window-size=1200,900",
                           "--virtual-time-budget=3000", "--dump-dom", "file://" + file + fragment},
                          {.environment = {"HOME=" + folder}});
    std::error_code ignored;
    fs::remove_all(folder, ignored);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.out;
}

std::string said(const std::string& document) {
    const auto begin = document.find("<pre id=\"said\">");
    const auto end = document.find("</pre>", begin);
    return begin == std::string::npos ? "nothing" : document.substr(begin + 15, end - begin - 15);
}

class Report : public testing::Test {
  protected:
    void SetUp() override {
        if (test::run_program({"chromium", "--version"}).exit_code != 0) GTEST_SKIP() << "chromium is not installed";
    }
};

constexpr const char* describe_page = R"(
    say(document.documentElement.dataset.ready);
    for (const fact of document.querySelectorAll('#facts div')) say(fact.textContent);
    say(document.querySelectorAll('#workers tbody tr').length + ' workers');
    say(document.querySelectorAll('#slowest tbody tr').length + ' slow');
    say(document.querySelector('#timeline').getAttribute('aria-label'));
)";

TEST_F(Report, ShowsAFewTasks) {
    const std::string document = shown(report_html(test::sample_recording(10, 3, 8e7)), describe_page);
    EXPECT_THAT(said(document), HasSubstr("yes\nWall time"));
    EXPECT_THAT(said(document), HasSubstr("Tasks10\n"));
    EXPECT_THAT(said(document), HasSubstr("Crashes1\n"));
    EXPECT_THAT(said(document), HasSubstr("3 workers\n8 slow\n"));
    EXPECT_THAT(said(document), Not(HasSubstr("ERROR")));
    EXPECT_THAT(document, HasSubstr("killed by SIGSEGV at 0x10"));
}

TEST_F(Report, ShowsAMillionTasks) {
    const std::string page = report_html(test::sample_recording(1'000'000, 4, 2e4));
    EXPECT_LT(page.size(), 8u << 20);
    const std::string document = shown(page, describe_page);
    EXPECT_THAT(said(document), HasSubstr("Tasks1\u202f000\u202f000\n"));
    EXPECT_THAT(said(document), Not(HasSubstr("ERROR")));
}

TEST_F(Report, OfNothingSaysSo) {
    Recording recording;
    recording.end = 1'000'000;
    const std::string document = shown(report_html(recording), "say(document.documentElement.dataset.ready)");
    EXPECT_EQ(said(document), "yes\n");
    EXPECT_THAT(document, HasSubstr("No pool was at work"));
}

TEST_F(Report, PaintsEachWorkersTasksInItsRow) {
    // Somewhere in the first row stands the colour of the first label; in the row of the crash, red.
    const std::string document = shown(report_html(test::sample_recording(10, 3, 8e7)), R"(
        const canvas = document.getElementById('timeline'), pen = canvas.getContext('2d');
        const seen = new Set(pen.getImageData(0, 0, canvas.width, canvas.height).data.reduce((list, value, i, all) => {
            if (i % 4 === 0) list.push([all[i], all[i + 1], all[i + 2]].join()); return list; }, []));
        say(seen.has('91,160,138') ? 'tasks' : 'no tasks');
        say(seen.has('179,54,43') ? 'failures' : 'no failures');
    )",
                                       "#light");
    EXPECT_EQ(said(document), "tasks\nfailures\n");
}

TEST_F(Report, ZoomsAndStepsByKeyAndMouse) {
    const std::string document = shown(report_html(test::sample_recording(40, 2, 5e7)), R"(
        const t = document.getElementById('timeline'), at = () => t.getAttribute('aria-label');
        const key = k => t.dispatchEvent(new KeyboardEvent('keydown', {key: k, bubbles: true, cancelable: true}));
        window.requestAnimationFrame = f => setTimeout(f, 0);  // nothing is drawn to a screen here
        const wait = () => new Promise(r => setTimeout(r, 5));
        (async () => {
            const whole = at();
            key('+'); key('+'); await wait();
            const zoomed = at(); say(zoomed !== whole ? 'zoomed' : 'not zoomed');
            key('ArrowRight'); await wait(); say(at() !== zoomed ? 'moved' : 'not moved');
            key('0'); await wait(); say(at() === whole ? 'whole' : 'not whole');
            key('.'); say(document.getElementById('spoken').textContent);
            key('ArrowDown'); say(document.getElementById('spoken').textContent);
            const box = t.getBoundingClientRect();
            t.dispatchEvent(new WheelEvent('wheel', {deltaY: -300, clientX: box.left + box.width / 2, clientY: box.top + 40, bubbles: true, cancelable: true}));
            await wait(); say(at() !== whole ? 'wheel zoomed' : 'wheel did nothing');
            t.dispatchEvent(new PointerEvent('pointermove', {clientX: box.left + box.width / 2, clientY: box.top + 40, bubbles: true}));
            say(document.getElementById('tip').hidden ? 'no tip' : 'tip ' + document.querySelector('#tip b').textContent);
        })();
    )");
    EXPECT_THAT(said(document), testing::StartsWith("zoomed\nmoved\nwhole\nWorker 1: parse(#"));
    EXPECT_THAT(said(document), HasSubstr("Worker 2: parse"));
    EXPECT_THAT(said(document), HasSubstr("wheel zoomed\ntip parse"));
}

TEST_F(Report, SwitchesBetweenLightAndDark) {
    const std::string document = shown(report_html(test::sample_recording(10, 2, 5e7)), R"(
        const look = () => document.documentElement.dataset.theme + ' ' + getComputedStyle(document.body).backgroundColor;
        say(look()); document.getElementById('theme').click(); say(look());
    )",
                                       "#light");
    EXPECT_EQ(said(document), "light rgb(246, 246, 244)\ndark rgb(20, 23, 26)\n");
}

TEST_F(Report, CanBeReadInBothThemes) {
    // WCAG 2: text of this size needs a contrast of 4.5 to 1.
    for (const std::string theme : {"#light", "#dark"}) {
        const std::string document = shown(report_html(test::sample_recording(10, 2, 5e7)), R"(
            const part = v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
            const light = c => { const [r, g, b] = c.match(/[\d.]+/g).map(Number); return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b); };
            const ground = n => { for (; n; n = n.parentElement) { const c = getComputedStyle(n).backgroundColor; if (c !== 'rgba(0, 0, 0, 0)') return c; } };
            let checked = 0;
            for (const node of document.querySelectorAll('h1, h2, p, dt, dd, li, td, th, button, .legend span')) {
                if (!node.textContent.trim() || node.closest('[hidden]')) continue;
                const a = light(getComputedStyle(node).color), b = light(ground(node));
                const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
                ++checked;
                if (contrast < 4.5) say(`${node.tagName}.${node.className} "${node.textContent}" ${contrast}`);
            }
            say(checked > 50 ? 'checked' : 'too few');
        )",
                                           theme);
        EXPECT_EQ(said(document), "checked\n") << theme;
    }
}

TEST_F(Report, ShowsHostileNamesAsText) {
    Recording recording = test::sample_recording(3, 1, 1e6, false);
    recording.program = "x</title><script>document.title='broken'</script>";
    recording.pools[0].labels[1] = "</script><img src=x onerror=\"document.title='broken'\">";
    recording.pools[0].stats.slowest[0].label = "<img src=x onerror=\"document.title='broken'\">";
    const std::string document = shown(report_html(recording), "setTimeout(() => say(document.title), 200)");
    EXPECT_THAT(said(document), Not(HasSubstr("broken\n")));
    EXPECT_THAT(said(document), Not(HasSubstr("ERROR")));
}

TEST(ReportFile, AsksForNothingFromElsewhere) {
    const std::string page = report_html(test::sample_recording(10, 2, 5e7));
    for (const char* word : {"http://", "https://", "//cdn", "@import", "url(", "<link rel=\"stylesheet\"", "src=\""})
        EXPECT_THAT(page, Not(HasSubstr(word)));
    EXPECT_THAT(page, HasSubstr("default-src 'none'"));
    for (const char* left : {"@STYLE@", "@SCRIPT@", "@DATA@", "@TITLE@", "@SUMMARY@"})
        EXPECT_THAT(page, Not(HasSubstr(left)));
}

}  // namespace
}  // namespace mp::trace
