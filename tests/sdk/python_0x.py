"""polar-sdk 0.x for Python (the Speakeasy generation) against Floe: every metering call, blocking and asynchronous.

Needs FLOE_URL, FLOE_ROOT_TOKEN and FLOE_TOKEN (a token of an organization that owns nothing made here).
This client checks every answer against its own models, so a wrong shape is an exception here.
The expected numbers were worked out by hand from `USAGE`.
"""

import asyncio
import datetime
import inspect
import json

import polar_sdk
from polar_sdk import models
from polar_sdk.ingestion import Ingestion
from support import Checks, Server

NOBODY = "00000000-0000-4000-8000-000000000000"
AI_CALLS = {"conjunction": "and", "clauses": [{"property": "name", "operator": "eq", "value": "ai.call"}]}
EVERYTHING = {"conjunction": "and", "clauses": []}


def at(text):
    """A date-time object; this generation takes and returns those. Python before 3.11 does not read a Z."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


# Per UTC day, sum of tokens: 1 January 10 + 20 + 6 = 36, 2 January 30.5, 3 January 0.1 + 0.2 = 0.3; together 66.8.
# In Los Angeles (8 hours behind): 20 + 6 = 26, 30.5 + 0.1 = 30.6, 0.2; together 56.8. The text "40" is never summed.
USAGE = [
    ("2024-01-01T00:00:00Z", "ada by id", "ai.call", {"tokens": 10, "model": "small", "cached": False}),
    ("2024-01-01T13:00:00Z", "ada by external id", "ai.call", {"tokens": 20, "model": "large", "cached": True}),
    ("2024-01-01T20:00:00Z", "walk-in", "ai.call", {"tokens": 6, "model": "tiny"}),
    ("2024-01-02T23:59:59.999999Z", "grace by id", "ai.call", {"tokens": 30.5, "model": "small"}),
    ("2024-01-03T05:00:00Z", "walk-in", "ai.call", {"tokens": 0.1, "model": "large"}),
    ("2024-01-03T23:00:00Z", "walk-in", "ai.call", {"tokens": 0.2, "model": "large"}),
    ("2024-03-10T10:00:00Z", "grace by id", "ai.call", {"tokens": "40", "model": "large"}),
    ("2024-01-02T08:00:00Z", "ada by external id", "page.view", {"tokens": 1000, "model": "none"}),
]
THREE_DAYS = {
    "start_timestamp": at("2024-01-01T00:00:00Z"),
    "end_timestamp": at("2024-01-03T23:59:59Z"),
    "interval": models.TimeInterval.DAY,
}


class Uniform:
    """The client with every call awaited, through its blocking or its asynchronous methods."""

    def __init__(self, target, suffix):
        self._target = target
        self._suffix = suffix

    def __getattr__(self, name):
        target = getattr(self._target, name)
        if not callable(target):
            return Uniform(target, self._suffix)
        target = getattr(self._target, name + self._suffix)

        async def call(*args, **kwargs):
            result = target(*args, **kwargs)
            return await result if inspect.isawaitable(result) else result

        return call


async def every(first_page):
    """The items of a page and of all that follow it."""
    items, page = [], first_page
    while page is not None:
        items += page.result.items
        page = page.next()
        if inspect.isawaitable(page):
            page = await page
    return items


class Scenario:
    """One organization, used through one client from its first customer to its last error."""

    def __init__(self, server, checks, polar, organization_id):
        self.server = server
        self.checks = checks
        self.polar = polar
        self.organization_id = organization_id

    async def run(self):
        for section in (
            self.customers,
            self.ingestion,
            self.meters,
            self.quantities,
            self.events,
            self.event_names_and_types,
            self.metadata_kinds,
            self.customer_meters,
            self.archived_meters,
            self.pages,
            self.customer_changes,
            self.not_found,
            self.refused,
        ):
            with self.checks.section(section.__name__):
                await section()

    async def raises(self, what, error_class, call, status):
        try:
            await call
        except models.PolarError as error:
            self.checks.equal(
                f"{what}: error", (type(error).__name__, error.status_code), (error_class.__name__, status)
            )
            return error
        self.checks.true(f"{what}: is refused", False)
        return None

    async def invalid(self, what, call, kind, loc):
        error = await self.raises(what, models.HTTPValidationError, call, 422)
        items = [(item.type, list(item.loc)) for item in error.data.detail] if error else []
        self.checks.true(
            f"{what}: detail", (kind, loc) in items, f"\n     got      {items}\n     expected {(kind, loc)}"
        )

    async def customers(self):
        equal, customers = self.checks.equal, self.polar.customers
        self.ada = await customers.create(
            request={
                "email": "ada@example.com",
                "external_id": "ada-1",
                "name": "Ada Lovelace",
                "billing_address": {"country": "GB", "city": "London"},
                "metadata": {"plan": "pro", "seats": 3, "ratio": 0.5, "trial": False},
            }
        )
        self.grace = await customers.create(request={"email": "grace@example.com", "metadata": {"plan": "free"}})
        self.team = await customers.create(
            request={"type": "team", "email": "team@example.com", "name": "Navy", "external_id": "navy"}
        )
        equal("metadata", self.ada.metadata, {"plan": "pro", "seats": 3, "ratio": 0.5, "trial": False})
        equal(
            "name",
            (self.ada.name, self.ada.billing_name, self.ada.billing_address.city),
            ("Ada Lovelace", "Ada Lovelace", "London"),
        )
        self.checks.true("created_at has an offset", self.ada.created_at.utcoffset() == datetime.timedelta(0))
        equal("classes", (type(self.ada).__name__, type(self.team).__name__), ("CustomerIndividual", "CustomerTeam"))
        equal("get", await customers.get(id=self.ada.id), self.ada)
        equal("get by external id", await customers.get_external(external_id="ada-1"), self.ada)

        async def ids(**filters):
            return [c.id for c in (await customers.list(**filters)).result.items]

        equal("list", await ids(), [self.team.id, self.grace.id, self.ada.id])
        equal("list by e-mail", await ids(email="ADA@example.com"), [self.ada.id])
        equal("list by query", await ids(query="lovel"), [self.ada.id])
        equal("list by metadata", await ids(metadata={"plan": ["free", "pro"], "seats": 3}), [self.ada.id])
        equal(
            "list sorted",
            await ids(sorting=[models.CustomerSortProperty.EMAIL]),
            [self.ada.id, self.grace.id, self.team.id],
        )
        equal("list of another organization", await ids(organization_id=NOBODY), [])

    async def ingestion(self):
        equal, who = (
            self.checks.equal,
            {
                "ada by id": {"customer_id": self.ada.id},
                "ada by external id": {"external_customer_id": "ada-1"},
                "grace by id": {"customer_id": self.grace.id},
                "walk-in": {"external_customer_id": "walk-in"},
            },
        )
        events = [
            {
                "name": name,
                "timestamp": at(timestamp),
                "external_id": f"usage-{i}",
                "metadata": metadata,
                **who[customer],
            }
            for i, (timestamp, customer, name, metadata) in enumerate(USAGE)
        ]

        async def ingest(*batch):
            answer = await self.polar.events.ingest(request={"events": list(batch)})
            return answer.inserted, answer.duplicates

        equal("first five", await ingest(*events[:5]), (5, 0))
        equal("the rest, two again", await ingest(*events[3:]), (3, 2))
        equal("all again", await ingest(*events), (0, 8))
        equal("an empty batch", await ingest(), (0, 0))
        plain = {"name": "twin", "external_customer_id": "twins", "timestamp": at("2024-01-01T02:00:00+02:00")}
        equal("without external id", await ingest(plain, plain), (2, 0))
        equal("without timestamp", await ingest({"name": "now", "external_customer_id": "twins"}), (1, 0))
        twin = (await self.polar.events.list(name="twin")).items[0]
        equal("offsets become UTC", twin.timestamp.isoformat(), "2024-01-01T00:00:00+00:00")

    async def meters(self):
        equal, meters = self.checks.equal, self.polar.meters
        self.tokens = await meters.create(
            request={
                "name": "Tokens",
                "filter": AI_CALLS,
                "aggregation": {"func": "sum", "property": "metadata.tokens"},
                "metadata": {"team": "ai", "tier": 1},
            }
        )
        equal("aggregation", (self.tokens.aggregation.func, self.tokens.aggregation.property), ("sum", "tokens"))
        equal("clause", self.tokens.filter_.clauses[0].value, "ai.call")
        equal("metadata", self.tokens.metadata, {"team": "ai", "tier": 1})
        equal("unset", (self.tokens.modified_at, self.tokens.archived_at), (None, None))
        equal("get", await meters.get(id=self.tokens.id), self.tokens)
        nested = {
            "conjunction": "or",
            "clauses": [
                {"property": "tokens", "operator": "gte", "value": 20},
                {"conjunction": "and", "clauses": [{"property": "cached", "operator": "eq", "value": False}]},
            ],
        }
        calls = await meters.create(request={"name": "nested", "filter": nested, "aggregation": {"func": "count"}})
        self.checks.same("nested filter", calls.filter_.clauses[1].clauses[0].value, False)
        equal("an empty update", (await meters.update(id=calls.id, meter_update={})).modified_at, None)
        renamed = await meters.update(id=calls.id, meter_update={"name": "Calls", "metadata": {"team": "web"}})
        equal("updated", (renamed.name, renamed.metadata), ("Calls", {"team": "web"}))
        self.calls = renamed.id

        async def names(**filters):
            return [m.name for m in (await meters.list(**filters)).result.items]

        equal("list", await names(), ["Calls", "Tokens"])
        equal("list downwards", await names(sorting=[models.MeterSortProperty.MINUS_NAME]), ["Tokens", "Calls"])
        equal("list by query", await names(query="OKE"), ["Tokens"])
        equal("list by metadata", await names(metadata={"team": ["ai", "x"], "tier": 1}), ["Tokens"])
        equal("list of another organization", await names(organization_id=[NOBODY]), [])

    async def ask(self, meter_id, **options):
        """Quantities over three days as ([quantity of each point], total)."""
        answer = await self.polar.meters.quantities(id=meter_id, **{**THREE_DAYS, **options})
        return [point.quantity for point in answer.quantities], answer.total

    async def quantities(self):
        equal, tokens = self.checks.equal, self.tokens.id
        answer = await self.polar.meters.quantities(id=tokens, **THREE_DAYS)
        equal("days", [p.timestamp for p in answer.quantities], [at(f"2024-01-0{day}T00:00:00Z") for day in (1, 2, 3)])
        equal("by day", await self.ask(tokens), ([36, 30.5, 0.3], 66.8))
        los_angeles = {
            "start_timestamp": at("2024-01-01T00:00:00-08:00"),
            "end_timestamp": at("2024-01-03T23:59:59-08:00"),
            "timezone": "America/Los_Angeles",
        }
        equal("by day in Los Angeles", await self.ask(tokens, **los_angeles), ([26, 30.6, 0.2], 56.8))
        hours = {"start_timestamp": at("2024-01-03T04:00:00Z"), "end_timestamp": at("2024-01-03T06:00:00Z")}
        equal("by hour", await self.ask(tokens, interval="hour", **hours), ([0, 0.1, 0], 0.1))
        equal(
            "by week", await self.ask(tokens, interval="week", end_timestamp=at("2024-01-07T23:59:59Z")), ([66.8], 66.8)
        )
        months = {"end_timestamp": at("2024-03-31T23:59:59Z"), "interval": "month"}
        equal("by month", await self.ask(tokens, **months), ([66.8, 0, 0], 66.8))
        equal(
            "by year",
            await self.ask(tokens, interval="year", end_timestamp=at("2025-12-31T00:00:00Z")),
            ([66.8, 0], 66.8),
        )
        ada, grace = self.ada.id, self.grace.id
        equal("one customer", await self.ask(tokens, customer_id=ada), ([30, 0, 0], 30))
        equal("two customers", await self.ask(tokens, customer_id=[ada, grace]), ([30, 30.5, 0], 60.5))
        equal(
            "both kinds of id",
            await self.ask(tokens, customer_id=grace, external_customer_id=["walk-in"]),
            ([6, 30.5, 0.3], 36.8),
        )
        equal("metadata", await self.ask(tokens, metadata={"model": "large", "cached": True}), ([20, 0, 0], 20))
        equal(
            "two metadata values",
            await self.ask(tokens, metadata={"model": ["small", "large"]}),
            ([30, 30.5, 0.3], 60.8),
        )
        # Day 1 has two customers (Ada 30, walk-in 6), the other days one each.
        for function, expected in {
            "count": ([2, 1, 1], 4),
            "sum": ([36, 30.5, 0.3], 66.8),
            "max": ([30, 30.5, 0.3], 60.8),
            "min": ([6, 30.5, 0.3], 36.8),
            "avg": ([18, 30.5, 0.3], 48.8),
            "unique": ([2, 1, 1], 4),
        }.items():
            equal(f"per customer: {function}", await self.ask(tokens, customer_aggregation_function=function), expected)
        for function, expected in {
            "count": ([3, 1, 2], 6),
            "max": ([20, 30.5, 0.2], 30.5),
            "min": ([6, 30.5, 0.1], 0.1),
            "avg": ([12, 30.5, 0.15], 11.133333333333333),  # 66.8 / 6
            "unique": ([3, 1, 1], 3),  # models: small, large, tiny; small; large
        }.items():
            aggregation = {"func": function}
            if function != "count":
                aggregation["property"] = "model" if function == "unique" else "tokens"
            meter = await self.polar.meters.create(
                request={"name": f"by {function}", "filter": AI_CALLS, "aggregation": aggregation}
            )
            equal(function, await self.ask(meter.id), expected)
        more = {
            "name": "ai.call",
            "customer_id": grace,
            "timestamp": at("2024-02-01T12:00:00Z"),
            "metadata": {"tokens": 0.7},
        }
        await self.polar.events.ingest(request={"events": [more]})
        equal("read your writes", await self.ask(tokens, **months), ([66.8, 0.7, 0], 67.5))

    async def times(self, **filters):
        """Timestamps of the events a list selects, oldest first, without year and seconds."""
        answer = await self.polar.events.list(
            **{"limit": 100, "sorting": [models.EventSortProperty.TIMESTAMP], **filters}
        )
        self.checks.equal("total_count", answer.pagination.total_count, len(answer.items))
        return [event.timestamp.isoformat()[5:16] for event in answer.items]

    async def events(self):
        equal, events = self.checks.equal, self.polar.events
        calls = [
            "01-01T00:00",
            "01-01T13:00",
            "01-01T20:00",
            "01-02T23:59",
            "01-03T05:00",
            "01-03T23:00",
            "02-01T12:00",
            "03-10T10:00",
        ]
        equal("by name", await self.times(name="ai.call"), calls)
        equal(
            "by names and source",
            len(await self.times(name=["ai.call", "page.view"], source=models.EventSource.USER)),
            9,
        )
        equal("by customer", await self.times(customer_id=self.ada.id), ["01-01T00:00", "01-01T13:00", "01-02T08:00"])
        equal(
            "by external customer",
            await self.times(external_customer_id=["walk-in"]),
            ["01-01T20:00", "01-03T05:00", "01-03T23:00"],
        )
        equal("those a meter counts", await self.times(meter_id=self.tokens.id), calls[:7])
        within = {"start_timestamp": at("2024-01-01T13:00:00Z"), "end_timestamp": at("2024-01-03T05:00:00Z")}
        equal("strictly between", await self.times(name="ai.call", **within), ["01-01T20:00", "01-02T23:59"])
        wide = json.dumps({"conjunction": "and", "clauses": [{"property": "tokens", "operator": "gt", "value": 25}]})
        # Greater than 25: 30.5, 1000, and the text "40" compared with the text "25".
        equal("by filter", await self.times(filter_=wide), ["01-02T08:00", "01-02T23:59", "03-10T10:00"])
        equal("by metadata", await self.times(metadata={"model": ["large", "small"], "cached": True}), ["01-01T13:00"])
        equal("by text", await self.times(query="PAGE.v", organization_id=self.organization_id), ["01-02T08:00"])
        # Not metadata={"tokens": 30.5}: this client drops fractional values from its filters without a word.
        (event,) = (await events.list(metadata={"model": "small"}, customer_id=self.grace.id)).items
        equal("microseconds", event.timestamp, at("2024-01-02T23:59:59.999999Z"))
        equal("customer", (event.customer_id, event.customer.email), (self.grace.id, "grace@example.com"))
        equal("get", await events.get(id=event.id), event)
        tree = {"name": "tree", "external_customer_id": "tree"}
        await events.ingest(
            request={
                "events": [
                    {**tree, "external_id": "root"},
                    {**tree, "name": "leaf", "parent_id": "root"},
                    {**tree, "name": "orphan", "parent_id": "never"},
                ]
            }
        )
        (root,) = (await events.list(name="tree")).items
        (leaf,) = (await events.list(parent_id=root.id, depth=1)).items
        equal("tree", (root.child_count, leaf.name, leaf.parent_id), (1, "leaf", root.id))
        (orphan,) = (await events.list(name="orphan")).items
        equal("orphan", orphan.parent_id, None)

    async def event_names_and_types(self):
        equal, types = self.checks.equal, self.polar.event_types
        (ai,) = (await self.polar.events.list_names(query="AI.")).result.items
        equal("name", (ai.name, ai.label, ai.source.value, ai.occurrences), ("ai.call", "ai.call", "user", 8))
        equal("seen", (ai.first_seen, ai.last_seen), (at("2024-01-01T00:00:00Z"), at("2024-03-10T10:00:00Z")))
        by_name = {"limit": 2, "source": models.EventSource.USER}
        names = await every(await self.polar.events.list_names(sorting=[models.EventNamesSortProperty.NAME], **by_name))
        expected = ["ai.call", "leaf", "now", "orphan", "page.view", "tree", "twin"]
        equal("iterated names", [n.name for n in names], expected)
        found = await every(await types.list(sorting=[models.EventTypesSortProperty.NAME], **by_name))
        equal("iterated types", [t.name for t in found], expected)
        view = found[4]
        labelled = await types.update(
            id=view.id, event_type_update={"label": "Page viewed", "label_property_selector": "model"}
        )
        equal(
            "label", (labelled.id, labelled.label, labelled.label_property_selector), (view.id, "Page viewed", "model")
        )
        equal("found by label", [t.name for t in (await types.list(query="viewed")).result.items], ["page.view"])
        roots = (await types.list(root_events=True, external_customer_id="tree")).result.items
        equal("types of roots", {t.name for t in roots}, {"tree", "orphan"})
        await self.raises(
            "unknown type", models.SDKError, types.update(id=NOBODY, event_type_update={"label": "x"}), 404
        )

    async def metadata_kinds(self):
        llm = {"vendor": "acme", "model": "m1", "input_tokens": 7, "output_tokens": 5, "total_tokens": 12}
        plain = {"text": 'ünïcode ✓ " \\', "int": 7, "float": 7.25, "true": True, "false": False}
        sent = {**plain, "_cost": {"amount": "1.25", "currency": "usd"}, "_llm": {**llm, "prompt": "hi"}}
        more = {"_cost": {"amount": 0.1, "currency": "usd"}, "_llm": llm}
        base = {"name": "kinds", "external_customer_id": "kinds"}
        events = [
            {**base, "timestamp": at(f"2024-06-01T00:00:0{i}Z"), "metadata": m} for i, m in enumerate((sent, more))
        ]
        await self.polar.events.ingest(request={"events": events})
        one, two = (await self.polar.events.list(name="kinds", sorting=[models.EventSortProperty.TIMESTAMP])).items
        for key, value in plain.items():
            self.checks.same(key, one.metadata[key], value)
        self.checks.equal("cost", one.metadata["_cost"].model_dump(), {"amount": "1.25", "currency": "usd"})
        self.checks.equal("cost given as a number", two.metadata["_cost"].amount, "0.1")
        read = one.metadata["_llm"]
        self.checks.equal("llm", (read.vendor, read.total_tokens, read.prompt, read.response), ("acme", 12, "hi", None))
        june = {"start_timestamp": at("2024-06-01T00:00:00Z"), "end_timestamp": at("2024-06-01T00:00:00Z")}
        kinds = {"conjunction": "and", "clauses": [{"property": "name", "operator": "eq", "value": "kinds"}]}
        for path, total in {"_cost.amount": 1.35, "_llm.total_tokens": 24}.items():
            request = {"name": f"sum of {path}", "filter": kinds, "aggregation": {"func": "sum", "property": path}}
            meter = await self.polar.meters.create(request=request)
            self.checks.equal(f"sum of {path}", await self.ask(meter.id, **june), ([total], total))

    async def customer_meters(self):
        equal, meters = self.checks.equal, self.polar.customer_meters
        (ada,) = (await meters.list(customer_id=self.ada.id, meter_id=self.tokens.id)).result.items
        equal("units", (ada.consumed_units, ada.credited_units, ada.balance), (30, 0, -30))
        equal("customer and meter", (ada.customer.email, ada.meter.name), ("ada@example.com", "Tokens"))
        equal("get", await meters.get(id=ada.id), ada)
        (external,) = (await meters.list(external_customer_id=["ada-1"], meter_id=[self.tokens.id])).result.items
        equal("by external customer", external, ada)
        most = [models.CustomerMeterSortProperty.MINUS_CONSUMED_UNITS]
        # Grace: 30.5 and 0.7; her text "40" is no number.
        ordered = (await meters.list(meter_id=self.tokens.id, sorting=most)).result.items
        equal("sorted", [m.consumed_units for m in ordered], [31.2, 30, 0])
        count = (await self.polar.meters.list()).result.pagination.total_count
        equal(
            "one for every customer and meter", len({m.id for m in await every(await meters.list(limit=7))}), 3 * count
        )
        state = await self.polar.customers.get_state(id=self.ada.id)
        equal("state", (state.email, state.active_subscriptions, state.granted_benefits), ("ada@example.com", [], []))
        in_state = {m.meter_id: (m.id, m.consumed_units, m.balance) for m in state.active_meters}
        equal("meter in the state", in_state[self.tokens.id], (ada.id, 30, -30))
        equal("state by external id", await self.polar.customers.get_state_external(external_id="ada-1"), state)
        more = {
            "name": "ai.call",
            "external_customer_id": "ada-1",
            "timestamp": at("2024-07-01T00:00:00Z"),
            "metadata": {"tokens": 0.5},
        }
        await self.polar.events.ingest(request={"events": [more]})
        after = await meters.get(id=ada.id)
        equal("read your writes", (after.consumed_units, after.balance), (30.5, -30.5))

    async def archived_meters(self):
        equal, meters = self.checks.equal, self.polar.meters
        archived = await meters.update(id=self.calls, meter_update={"is_archived": True})
        self.checks.true("archived_at", archived.archived_at is not None)
        equal("archived ones", [m.id for m in (await meters.list(is_archived=True)).result.items], [self.calls])
        live = [m.id for m in await every(await meters.list(is_archived=False))]
        self.checks.true("live ones", self.calls not in live and self.tokens.id in live)
        # tokens >= 20: 20, 30.5, 1000; cached false: 10.
        equal("still answers", (await self.ask(self.calls))[1], 4)
        equal("back", (await meters.update(id=self.calls, meter_update={"is_archived": False})).archived_at, None)

    async def pages(self):
        equal = self.checks.equal
        names = [f"page {i:02}" for i in range(23)]
        for name in reversed(names):
            request = {
                "name": name,
                "filter": EVERYTHING,
                "aggregation": {"func": "count"},
                "metadata": {"kind": "paged"},
            }
            await self.polar.meters.create(request=request)
        equal(
            "iterated meters",
            [m.name for m in await every(await self.polar.meters.list(metadata={"kind": "paged"}))],
            names,
        )
        start = at("2024-08-01T00:00:00Z")
        events = [
            {
                "name": "paged",
                "external_customer_id": "p",
                "timestamp": start + datetime.timedelta(seconds=i // 2),
                "metadata": {"i": i},
            }
            for i in range(120)
        ]
        answer = await self.polar.events.ingest(request={"events": events})
        equal("many events", (answer.inserted, answer.duplicates), (120, 0))
        seen = []
        for page in (1, 2, 3):
            answer = await self.polar.events.list(name="paged", page=page, limit=50)
            equal("pagination", (answer.pagination.total_count, answer.pagination.max_page), (120, 3))
            seen += [event.metadata["i"] for event in answer.items]
        equal("events of all pages", seen, list(range(119, -1, -1)))
        customers = await every(await self.polar.customers.list(limit=1, sorting=[models.CustomerSortProperty.EMAIL]))
        equal(
            "iterated customers",
            [c.email for c in customers],
            ["ada@example.com", "grace@example.com", "team@example.com"],
        )

    async def customer_changes(self):
        equal, customers = self.checks.equal, self.polar.customers
        eve = await customers.create(request={"email": "eve@example.com", "name": "Eve", "external_id": "eve"})
        changed = await customers.update(
            id=eve.id, customer_update={"name": None, "email": "eve2@example.com", "metadata": {"b": True}}
        )
        equal("updated", (changed.name, changed.email, changed.metadata), (None, "eve2@example.com", {"b": True}))
        again = await customers.update_external(external_id="eve", customer_update_external_id={"name": "Eve Again"})
        equal("updated by external id", (again.id, again.name), (eve.id, "Eve Again"))
        equal("delete", await customers.delete(id=eve.id), None)
        await self.raises("gone", models.ResourceNotFound, customers.get(id=eve.id), 404)
        await customers.create(request={"email": "eve2@example.com", "external_id": "eve"})
        equal("delete by external id", await customers.delete_external(external_id="eve", anonymize=True), None)
        await self.raises(
            "gone by external id", models.ResourceNotFound, customers.get_external(external_id="eve"), 404
        )

    async def not_found(self):
        polar = self.polar
        for what, call in {
            "meters.get": polar.meters.get(id=NOBODY),
            "meters.update": polar.meters.update(id=NOBODY, meter_update={"name": "abc"}),
            "meters.quantities": polar.meters.quantities(id=NOBODY, **THREE_DAYS),
            "events.get": polar.events.get(id=NOBODY),
            "customers.update": polar.customers.update(id=NOBODY, customer_update={"name": "x"}),
            "customers.delete": polar.customers.delete(id=NOBODY),
            "customers.get_state": polar.customers.get_state(id=NOBODY),
            "customers.update_external": polar.customers.update_external(
                external_id="no", customer_update_external_id={"name": "x"}
            ),
            "customers.delete_external": polar.customers.delete_external(external_id="no"),
            "customers.get_state_external": polar.customers.get_state_external(external_id="no"),
            "customer_meters.get": polar.customer_meters.get(id=NOBODY),
        }.items():
            error = await self.raises(what, models.ResourceNotFound, call, 404)
            if error:
                self.checks.equal(f"{what}: body", error.data.ERROR, "ResourceNotFound")

    async def refused(self):
        meters, events, customers = self.polar.meters, self.polar.events, self.polar.customers
        meter = {"name": "abc", "filter": EVERYTHING, "aggregation": {"func": "count"}}
        await self.invalid(
            "short name", meters.create(request={**meter, "name": "ab"}), "string_too_short", ["body", "name"]
        )
        mine = meters.create(request={**meter, "organization_id": self.organization_id})
        await self.invalid("organization", mine, "organization_token", ["body", "organization_id"])
        locked = meters.update(id=self.tokens.id, meter_update={"filter": EVERYTHING})
        await self.invalid("filter of a used meter", locked, "forbidden", ["body", "filter"])

        def quantities(**options):
            return meters.quantities(id=self.tokens.id, **{**THREE_DAYS, **options})

        early = quantities(start_timestamp=at("2022-12-31T00:00:00Z"))
        await self.invalid("early start", early, "greater_than_equal", ["query", "start_timestamp"])
        await self.invalid("time zone", quantities(timezone="Mars/Phobos"), "TimeZoneName", ["query", "timezone"])
        await self.invalid(
            "end before start", quantities(end_timestamp=at("2023-06-01T00:00:00Z")), "value_error", ["query"]
        )
        future = events.ingest(
            request={"events": [{"name": "a", "external_customer_id": "x", "timestamp": at("2999-01-01T00:00:00Z")}]}
        )
        await self.invalid(
            "future", future, "value_error", ["body", "events", 0, "EventCreateExternalCustomer", "timestamp"]
        )
        unknown = events.ingest(request={"events": [{"name": "a", "customer_id": NOBODY}]})
        await self.invalid("unknown customer", unknown, "customer_id", ["body", "events", 0, "customer_id"])
        taken = customers.create(request={"email": "ADA@example.com"})
        await self.invalid("taken e-mail", taken, "value_error", ["body", "email"])
        for what, token, status, text in (
            ("unknown token", "floe_oat_wrong", 401, "invalid_token"),
            ("missing scope", self.server.new_token(self.organization_id, ["events:read"]), 403, "insufficient_scope"),
        ):
            client = Uniform(polar_sdk.Polar(access_token=token, server_url=self.server.url), self.polar._suffix)
            error = await self.raises(what, models.SDKError, client.meters.list(), status)
            self.checks.true(f"{what}: body", error and text in error.body, error)
        stranger = Uniform(
            polar_sdk.Polar(access_token=self.server.stranger_token, server_url=self.server.url), self.polar._suffix
        )
        await self.raises(
            "another organization's meter", models.ResourceNotFound, stranger.meters.get(id=self.tokens.id), 404
        )


def check_ingestion_queue(server, checks, organization_id, token):
    """The client's own background queue."""
    queue = Ingestion(access_token=token, server_url=server.url, flush_interval=60)
    for i in range(3):
        queue.ingest({"name": "queued", "external_customer_id": "q", "external_id": f"q-{i % 2}", "metadata": {"i": i}})
    queue.close()
    with polar_sdk.Polar(access_token=token, server_url=server.url) as polar:
        events = polar.events.list(name="queued").items
        checks.equal("events of the queue", sorted(event.metadata["i"] for event in events), [0, 1])


async def main():
    server, checks = Server(), Checks()
    for kind, suffix in (("blocking", ""), ("asynchronous", "_async")):
        with checks.section(kind):
            organization_id = server.new_organization("python-0x")
            token = server.new_token(organization_id)
            client = Uniform(polar_sdk.Polar(access_token=token, server_url=server.url), suffix)
            await Scenario(server, checks, client, organization_id).run()
    with checks.section("ingestion queue"):
        check_ingestion_queue(server, checks, organization_id, token)
    checks.finish()


if __name__ == "__main__":
    asyncio.run(main())
