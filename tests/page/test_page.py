"""The page in a real browser: a person types, reads, is told what is wrong, and sees a swap."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, Route, expect

from cloche.training.recipe.metric_catalog import METRICS
from tests.lifecycle.registry import Registry
from tests.online import Server, wait_for
from tests.page.conftest import KEY
from tests.page.names import COMMENTS, FLIGHTS, HTML, INHERITED, MONITOR, ODD

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("page")]

expect.set_options(timeout=30_000)
LIGHT, DARK = "light", "dark"
EMPTY = "\N{EN DASH}"
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


def address(server: Server, model: str) -> str:
    return f"{server.url}/?model={quote(model, safe='')}"


_NOTICED = 90_000  # milliseconds; a server of several models looks for canaries twice a minute


def ask_button(page: Page) -> Locator:
    return page.get_by_role("button", name="Ask", exact=True)


@pytest.fixture
def flights(page: Page, server: Server) -> Page:
    """The page with the form for a flight."""
    page.goto(address(server, FLIGHTS))
    expect(ask_button(page)).to_be_visible()
    return page


@pytest.fixture
def comments(page: Page, server: Server) -> Page:
    """The page with the form for a comment."""
    page.goto(address(server, COMMENTS))
    expect(page.get_by_label("text")).to_be_visible()
    return page


@pytest.fixture
def locked(page: Page, guarded: Server) -> Page:
    """The page of a server that asks for a key."""
    page.goto(guarded.url)
    expect(page.get_by_label("API key")).to_be_focused()
    return page


def test_a_person_types_a_flight_and_reads_the_prediction_with_its_version(flights: Page) -> None:
    flights.get_by_label("remark").fill("it snows")
    flights.get_by_label("factor").fill("2")
    flights.get_by_label("carrier").select_option("B6")
    ask_button(flights).click()
    answer = flights.locator("#answer")
    expect(answer).to_contain_text("it snows")
    expect(answer.get_by_role("meter", name="probability")).to_have_attribute("value", "0.2")
    expect(answer).to_contain_text("version 1")


def test_the_form_begins_with_the_example_and_offers_what_is_usual(flights: Page) -> None:
    expect(flights.get_by_label(ODD)).to_have_value("1416")
    expect(flights.get_by_label("at", exact=True)).to_have_value("2013-01-01T05:15")
    expect(flights.get_by_label("cancelled")).to_have_value("false")
    choices = flights.get_by_label("carrier").locator("option[value]:not([value=''])")
    expect(choices).to_have_text(["UA", "B6", HTML])
    offered = flights.locator("datalist option")
    assert [one.get_attribute("value") for one in offered.all()] == ["IAH", "MIA"]


def test_what_holds_html_is_shown_as_text(flights: Page) -> None:
    flights.get_by_role("button", name="Example").click()
    ask_button(flights).click()
    expect(flights.locator("#answer")).to_contain_text(f"{HTML}all is well")
    expect(flights.get_by_role("heading", level=1)).to_have_text(FLIGHTS)
    expect(flights.locator("#serving")).to_contain_text(HTML)
    expect(flights.locator("#evidence")).to_contain_text(f"minimum {HTML}")
    assert flights.evaluate("window.broken") is None


def test_a_column_with_a_name_that_objects_have_is_a_column(flights: Page) -> None:
    flights.get_by_role("button", name="Example").click()
    for name in INHERITED:
        field = flights.get_by_label(name, exact=True)
        expect(field).to_have_value("usual")
        field.fill(f"of {name}")
    with flights.expect_request("**/invocations") as asked:
        ask_button(flights).click()
    (row,) = json.loads(asked.value.post_data or "")["dataframe_records"]
    assert {name: row[name] for name in INHERITED} == {name: f"of {name}" for name in INHERITED}
    expect(flights.locator("#answer")).to_contain_text("version 1")


def test_what_is_refused_is_told_beside_the_field(flights: Page) -> None:
    field = flights.get_by_label(ODD)
    refused = {"far": "Expected a whole number", "5.5": "Give a whole number"}  # which would be cut
    for typed, told in refused.items():
        field.fill(typed)
        ask_button(flights).click()
        expect(field).to_have_accessible_description(re.compile(told))
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(field).to_be_focused()
    field.fill("3")
    ask_button(flights).click()
    expect(flights.locator("#answer")).to_contain_text("version 1")
    expect(field).not_to_have_attribute("aria-invalid", "true")


def test_a_refused_field_needs_a_value_only_where_it_is_empty(flights: Page) -> None:
    refusal = {"message": "some columns are refused as a whole", "columns": ["carrier", ODD]}
    flights.route("**/invocations", lambda route: route.fulfill(status=400, json=refusal))
    flights.get_by_label(ODD).fill("")
    ask_button(flights).click()
    described = [("carrier", "This is not what the model takes"), (ODD, "needs a value here")]
    for name, told in described:
        expect(flights.get_by_label(name)).to_have_accessible_description(re.compile(told))


def test_the_form_becomes_json_with_every_digit_that_was_typed_and_is_asked_as_such(
    flights: Page,
) -> None:
    flights.get_by_label("remark").fill("as a field")
    flights.get_by_label(ODD).fill("9007199254740993")
    flights.get_by_role("button", name="As JSON").click()
    area = flights.get_by_label("Request, as JSON")
    area.fill(area.input_value().replace("as a field", "as JSON"))
    with flights.expect_request("**/invocations") as asked:
        ask_button(flights).click()
    assert "9007199254740993" in (asked.value.post_data or "")
    expect(flights.locator("#answer")).to_contain_text("as JSON")


def test_another_model_is_chosen(flights: Page) -> None:
    flights.get_by_label("Model", exact=True).select_option(COMMENTS)
    expect(flights.get_by_role("heading", level=1)).to_have_text(COMMENTS)
    flights.get_by_label("text").fill("a comment,\nof two lines")
    ask_button(flights).click()
    expect(flights.locator("#answer")).to_contain_text("a comment")


def test_everything_can_be_done_by_keyboard(comments: Page) -> None:
    comments.keyboard.press("Tab")
    expect(comments.get_by_role("link", name="Skip to the form")).to_be_focused()
    comments.keyboard.press("Enter")
    while not comments.evaluate("document.activeElement.tagName === 'TEXTAREA'"):
        comments.keyboard.press("Tab")
    comments.keyboard.type("typed")
    comments.keyboard.press("Tab")
    expect(ask_button(comments)).to_be_focused()
    comments.keyboard.press("Enter")
    expect(comments.locator("#answer")).to_contain_text("typed")


def test_charts_are_told_in_words_and_as_a_table(comments: Page) -> None:
    ask_button(comments).click()
    chart = comments.get_by_role("figure").filter(
        has=comments.get_by_role("heading", name="Requests")
    )
    expect(chart.get_by_role("img")).to_have_accessible_name(re.compile(r"version 1 .*at most"))
    chart.get_by_text("As a table").click()
    expect(chart.get_by_role("columnheader")).to_have_text(["Time", "version 1"])
    expect(chart.get_by_role("rowheader").first).to_have_text(re.compile(r"\d\d:\d\d:\d\d"))


def test_rates_and_quantiles_are_those_of_the_counters(comments: Page) -> None:
    sample = comments.evaluate(
        """async () => {
          const { Series } = await import("./page/series.js");
          const look = (clock, counts, failed) => ({ clock, started: "s", model: {
            version: "1", waiting: 0, in_progress: 0, counted: {
              bounds: [1, 2], rows: counts[0],
              requests: [{version: "1", code: 200, count: counts[0] + counts[1] + counts[2]},
                         {version: "1", code: 500, count: failed}],
              durations: {request: [{version: "1", counts}], predict: []} } } });
          const series = new Series();
          series.add(look(100, [7, 0, 0], 0), 0);
          series.add(look(102, [8, 2, 1], 6), 2000);
          return series.samples[0];
        }"""
    )
    assert (sample["requests"], sample["failed"], sample["rows"]) == (5, 3, 0.5)
    assert (sample["median"], sample["slowest"]) == (1.5, 2)


def test_a_lost_server_is_told_and_found_again(comments: Page) -> None:
    comments.context.set_offline(True)
    expect(comments.get_by_role("alert").first).to_contain_text("No connection since")
    expect(comments.locator("#said")).to_contain_text("does not answer")
    comments.context.set_offline(False)
    expect(comments.locator("#state")).to_have_text("Live")
    expect(comments.get_by_role("alert").first).to_be_empty()


def test_the_stages_before_a_model_are_shown_with_their_replicas(
    page: Page, server: Server
) -> None:
    stages = [
        {"name": "lookup", "version": "3", "replicas": 4},
        {"name": "tokens", "version": "2", "replicas": 1},
    ]

    def behind_stages(route: Route) -> None:
        response = route.fetch()
        state = response.json()
        state["model"] |= {"stages": stages, "replicas": 7}
        route.fulfill(response=response, json=state)

    page.route("**/status.json*", behind_stages)
    page.goto(address(server, COMMENTS))
    facts = page.locator("#serving dl > div")
    prepared = "lookup 3 (4 replicas), then tokens 2 (1 replica)"
    expect(facts.filter(has_text="Rows prepared by")).to_contain_text(prepared)
    expect(facts.last).to_have_text("Replicas2")


def test_everything_is_asked_for_below_the_prefix_that_it_is_mounted_at(
    page: Page, server: Server
) -> None:
    def below(route: Route) -> None:
        route.fulfill(response=route.fetch(url=route.request.url.replace("/mounted/", "/", 1)))

    page.route(f"{server.url}/**", lambda route: route.abort())
    page.route(f"{server.url}/mounted/**", below)
    page.goto(f"{server.url}/mounted/?model={COMMENTS}")
    page.get_by_label("text").fill("from below")
    ask_button(page).click()
    expect(page.locator("#answer")).to_contain_text("from below")
    page.get_by_role("link", name="API").click()
    page.get_by_role("link", name="Cloche").click()
    expect(page.get_by_role("heading", name="Ask the model")).to_be_visible()


def test_nothing_is_shown_without_the_key_which_opens_until_it_is_forgotten(locked: Page) -> None:
    expect(locked.get_by_role("heading", name="This server asks for a key")).to_be_visible()
    assert COMMENTS not in locked.content()
    assert barriers(locked) == []
    key = locked.get_by_label("API key")
    key.fill("a wrong one")
    locked.keyboard.press("Enter")
    expect(key).to_have_accessible_description(re.compile("not know"))
    assert COMMENTS not in locked.content()

    key.fill(KEY)
    locked.get_by_role("button", name="Open").click()
    locked.get_by_label("text").fill("let in")
    ask_button(locked).click()
    expect(locked.locator("#answer")).to_contain_text("let in")

    locked.reload()
    expect(locked.get_by_role("heading", level=1, name=COMMENTS)).to_be_visible()
    locked.get_by_role("link", name="API").click()
    expect(locked.get_by_role("dialog")).to_contain_text("Open Inference Protocol")
    locked.keyboard.press("Escape")

    locked.get_by_role("button", name="Forget key").click()
    expect(key).to_be_visible()
    assert COMMENTS not in locked.content()


@pytest.mark.parametrize(
    ("scheme", "size"),
    [
        (LIGHT, PHONE), (DARK, DESKTOP),
        *(pytest.param(*one, marks=pytest.mark.breadth)
          for one in ((LIGHT, DESKTOP), (DARK, PHONE))),
    ],
    ids=["light-phone", "dark-desktop", "light-desktop", "dark-phone"],
)  # fmt: skip
def test_axe_finds_no_barrier_and_nothing_scrolls_sideways(
    flights: Page, size: dict[str, int], scheme: str
) -> None:
    flights.set_viewport_size(size)
    flights.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    flights.get_by_label(ODD).fill("far")
    ask_button(flights).click()
    expect(flights.get_by_label(ODD)).to_be_focused()
    expect(flights.locator("#evidence table")).to_be_visible()
    assert barriers(flights) == []
    assert flights.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_axe_finds_no_barrier_in_the_documents(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/docs")
    assert barriers(page) == []
    page.get_by_role("link", name="Cloche").click()
    expect(page).to_have_title(re.compile("Cloche"))


def barriers(page: Page) -> list[str]:
    """What axe-core complains about."""
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {one['help']} {[n['html'] for n in one['nodes']]}" for one in found]


def test_a_canary_is_shown_with_its_share(flights: Page, registry: Registry) -> None:
    canary = expect(flights.locator("#canary"))
    registry.promote("2", FLIGHTS, alias="canary")
    try:
        canary.to_contain_text("Version 2 answers 1 % of the callers", timeout=_NOTICED)
        ask_button(flights).click()
        canary.to_contain_text("0 of 1 requests")
        canary.to_contain_text("3 failures more than production's would be needed")
        canary.to_contain_text("0 of about 3 failures that would end it")
        canary.to_contain_text("It was set by hand")
        canary.to_contain_text("What it takes until 5 %")
        canary.to_contain_text("It has had enough requests: 0 of at least 500 requests")
        for scheme, size in ((LIGHT, DESKTOP), (DARK, PHONE)):
            flights.emulate_media(color_scheme=scheme)
            flights.set_viewport_size(size)
            assert barriers(flights) == []
            assert flights.evaluate("document.documentElement.scrollWidth") <= size["width"]
    finally:
        registry.client.delete_registered_model_alias(FLIGHTS, "canary")
    canary.to_be_hidden(timeout=_NOTICED)


@pytest.mark.breadth
def test_a_shadow_is_shown_with_what_it_answers_otherwise(
    flights: Page, registry: Registry
) -> None:
    serving = expect(flights.locator("#serving"))
    registry.promote("2", FLIGHTS, alias="shadow")
    try:
        serving.to_contain_text(
            "Version 2 gets copies of 10 % of the requests, and differs in 0 of 0 answers",
            timeout=_NOTICED,
        )
    finally:
        registry.client.delete_registered_model_alias(FLIGHTS, "shadow")
    serving.not_to_contain_text("copies", timeout=_NOTICED)


Monitored = Callable[..., Locator]


@pytest.fixture
def monitored(page: Page, server: Server) -> Monitored:
    """(**changes) → the card of a model of which `cloche monitor` has found MONITOR, changed."""

    def show(**changes: Any) -> Locator:
        found = {**MONITOR, **changes}

        def with_monitor(route: Route) -> None:
            response = route.fetch()
            state = response.json()
            history = state["model"]["history"] or []
            for one in history:
                one["promoted_at"] = f"2026-11-{6 + 2 * int(one['version']):02}T06:00:00+00:00"
            state["model"] |= {"monitor": found, "history": history or None}
            route.fulfill(response=response, json=state)

        page.route("**/status.json*", with_monitor)
        page.goto(address(server, FLIGHTS))
        card = page.get_by_role("region", name="Quality", exact=True)
        expect(card.locator(".mark")).to_have_count(2)
        return card

    return show


def test_quality_is_told_by_day_with_promotions_drift_and_the_last_alarm(
    monitored: Monitored, page: Page
) -> None:
    card = monitored()
    drawing = card.get_by_role("img")
    expect(card.get_by_role("list", name="Alarms")).to_have_text("2 alarms")
    expect(card.locator(".notice")).to_contain_text(
        f"Since 11 Nov 2026: {HTML}roc_auc is 0.41, usually 0.68. 1 more alarm is in the run."
    )
    expect(card.get_by_role("link")).to_have_attribute("href", MONITOR["link"])
    expect(card.locator(".value")).to_have_text(
        "0.41 on 11 Nov 2026, version 2, usually 0.58 to 0.78"
    )
    expect(drawing).to_have_accessible_name(
        re.compile(
            r"version 1 0\.69 on 9 Nov, .*version 2 0\.41 .*version 2 was promoted on 10 Nov"
        )
    )
    expect(drawing.locator(".mark text")).to_have_text(["v1 promoted", "v2 promoted"])
    counts = {"measured": 4, "chance": 4, "usual": 2, "alarmed": 1, "labelled": 5}
    assert {name: drawing.locator(f".{name}").count() for name in counts} == counts
    expect(card).to_contain_text("1 is perfect, 0.5 is guessing). 1 later day waits for labels.")
    expect(card).to_contain_text(
        f"{HTML}gust: 96 % of the rows have “12 to 15”, in training 4.2 %; 3.2 times its limit."
    )
    assert page.evaluate("window.broken") is None
    card.get_by_text("As a table").click()
    cells = card.get_by_role("row").nth(1).get_by_role("cell")
    expect(cells).to_have_text(["2", "10,000", "2 %, unfinished", EMPTY, EMPTY])


def test_days_without_an_alarm_are_told_since_when(monitored: Monitored) -> None:
    card = monitored(alarms=0, alarm=None, last_alarm_day=None)
    expect(card).to_contain_text("No alarm since 8 Nov 2026, the first day that was looked at.")
    expect(card.get_by_role("list", name="Alarms")).to_have_text("no alarm")


@pytest.mark.parametrize(("scheme", "size"), [(LIGHT, PHONE), (DARK, DESKTOP)])
def test_axe_finds_no_barrier_in_the_quality(
    monitored: Monitored, page: Page, size: dict[str, int], scheme: str
) -> None:
    page.set_viewport_size(size)
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    monitored().get_by_text("As a table").click()
    assert barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_what_to_type_is_told_of_a_log_that_nothing_reads_and_of_a_tag_that_is_no_monitoring(
    page: Page, server: Server, registry: Registry
) -> None:
    card = page.locator("#quality")
    page.goto(address(server, COMMENTS))
    expect(page.locator("#versions table")).to_be_visible()
    expect(card).to_be_hidden()
    client = registry.client
    client.set_registered_model_tag(COMMENTS, "cloche.log", "s3://team/log")
    try:
        expect(card).to_contain_text("Type cloche monitor comments.")
        for tag in ("no JSON", json.dumps({"run_id": HTML, "alarms": "x" * 4_000})):
            client.set_registered_model_tag(COMMENTS, "cloche.monitor", tag)
            client.set_model_version_tag(COMMENTS, "1", "cloche.reason", f"after {tag[:9]}")
            expect(page.locator("#serving")).to_contain_text(f"after {tag[:9]}")
            expect(card).to_contain_text("Type cloche monitor comments.")
    finally:
        for name in ("cloche.log", "cloche.monitor"):
            client.delete_registered_model_tag(COMMENTS, name)


@pytest.mark.parametrize(
    "values", [[0.3, 0.30000000000000004], [0.0, 0.0], [-1e-9, 2e-9], [1e20], []]
)
def test_the_scale_of_quality_has_a_few_round_numbers_whatever_the_values(
    comments: Page, values: list[float]
) -> None:
    ticks = comments.evaluate(
        """async (values) => {
          const { QualityChart } = await import("./page/quality_chart.js");
          const days = values.map((value, at) => ({ day: `2026-11-0${at + 1}`, value, low: null, high: null }));
          const usual = { low: null, high: null };
          return new QualityChart("mae", [{ version: "1", usual, days }], [], () => "v0").ticks;
        }""",  # noqa: E501
        values,
    )
    assert 2 <= len(ticks) <= 12


def test_every_metric_of_a_recipe_is_told_in_words(server: Server) -> None:
    script = server.get("/page/quality.js").text
    assert [name for name in METRICS if f'["{name}", "' not in script] == []


@pytest.fixture
def promoted(flights: Page, registry: Registry, server: Server) -> Iterator[Page]:
    """The page, with something typed, after another version was promoted."""
    flights.get_by_label("remark").fill("stays")
    registry.promote("2", FLIGHTS)
    yield flights
    registry.promote("1", FLIGHTS)
    wait_for(lambda: server.version(FLIGHTS) == "1")


def test_a_promotion_changes_the_page_by_itself(promoted: Page) -> None:
    expect(promoted.locator("#serving")).to_contain_text("Version 2")
    expect(promoted.locator("#said")).to_have_text(f"Version 2 of {FLIGHTS} serves now.")
    expect(promoted.locator("#serving")).to_contain_text("the 2. of them")
    expect(promoted.locator("#charts .mark text").first).to_have_text("v2")
    expect(promoted.locator("#versions tr[aria-current]")).to_contain_text("2")
    expect(promoted.get_by_label("remark")).to_have_value("stays")
    ask_button(promoted).click()
    expect(promoted.locator("#answer")).to_contain_text("version 2")
