"""polar-sdk 1.x for Python against Floe: every metering call, of every version module, through both clients.

Needs FLOE_URL, FLOE_ROOT_TOKEN and FLOE_TOKEN (a token of an organization that owns nothing made here).
The expected numbers were worked out by hand from the usage in `USAGE`.
"""

import asyncio
import importlib
import inspect
import json

import polar.base
from support import Checks, Server

NOBODY = "00000000-0000-4000-8000-000000000000"
AI_CALLS = {"conjunction": "and", "clauses": [{"property": "name", "operator": "eq", "value": "ai.call"}]}
EVERYTHING = {"conjunction": "and", "clauses": []}

# Per UTC day, sum of tokens: 1 January 10 + 20 + 6 = 36, 2 January 30.5, 3 January 0.1 + 0.2 = 0.3; together 66.8.
# In Los Angeles (8 hours behind) the first event belongs to 31 December and the one of 3 January 05:00 to 2 January:
# 20 + 6 = 26, 30.5 + 0.1 = 30.6, 0.2; together 56.8. The text "40" in March is no number and is never summed.
USAGE = [
    # timestamp, customer, name, metadata
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
    "start_timestamp": "2024-01-01T00:00:00Z",
    "end_timestamp": "2024-01-03T23:59:59Z",
    "interval": "day",
}


class Uniform:
    """A client whose calls are all awaited, and whose iterators are all lists, whichever client is behind it."""

    def __init__(self, target):
        self._target = target

    def __getattr__(self, name):
        target = getattr(self._target, name)
        if not callable(target):
            return Uniform(target)

        async def call(*args, **kwargs):
            result = target(*args, **kwargs)
            if inspect.isawaitable(result):
                return await result
            if inspect.isasyncgen(result):
                return [item async for item in result]
            if inspect.isgenerator(result):
                return list(result)
            return result

        return call


class Scenario:
    """One organization, used through one client from its first meter to its last error."""

    def __init__(self, server, checks, module, polar, organization_id):
        self.server = server
        self.checks = checks
        self.polar = polar
        self.organization_id = organization_id
        self.errors = importlib.import_module(f"{module}.errors")

    async def run(self):
        for section in (
            self.customers,
            self.ingestion,
            self.meters,
            self.quantities,
            self.quantities_of_other_aggregations,
            self.event_lists,
            self.event_trees,
            self.event_names_and_types,
            self.metadata_kinds,
            self.customer_meters,
            self.archived_meters,
            self.pages,
            self.customer_changes,
            self.not_found,
            self.refused_bodies_and_queries,
            self.refused_tokens,
        ):
            with self.checks.section(section.__name__):
                await section()

    async def raises(self, what, error, call, status):
        """The call fails with this class and status; returns the exception."""
        try:
            await call
        except polar.base.PolarError as e:
            self.checks.equal(f"{what}: error class", type(e).__name__, error.__name__)
            self.checks.equal(f"{what}: status", getattr(e, "status_code", None), status)
            return e
        self.checks.true(f"{what}: is refused", False)
        return None

    async def invalid(self, what, call, kind, loc):
        """The call fails with a typed 422 whose detail has an item of this type at this place."""
        error = await self.raises(what, self.errors.HTTPValidationError, call, 422)
        detail = error.error.detail if error else []
        items = [(item.type, item.loc) for item in detail]
        self.checks.true(
            f"{what}: detail", (kind, loc) in items, f"\n     got      {items}\n     expected {(kind, loc)}"
        )

    async def customers(self):
        create, equal = self.polar.customers.create, self.checks.equal
        self.ada = await create(
            email="Ada@Example.COM",
            external_id="ada-1",
            name="  Ada Lovelace ",
            locale="en-gb",
            billing_address={"country": "GB", "city": "London"},
            metadata={"plan": "pro", "seats": 3, "ratio": 0.5, "trial": False},
        )
        self.grace = await create(email="grace@example.com", metadata={"plan": "free"})
        self.team = await create(type="team", email="team@example.com", name="Navy", external_id="navy")
        ada = self.ada
        equal("e-mail", ada.email, "Ada@example.com")
        equal("name is trimmed", ada.name, "Ada Lovelace")
        equal("billing name", ada.billing_name, "Ada Lovelace")
        equal("locale is normalised", ada.locale, "en-GB")
        equal("country", ada.billing_address.country, "GB")
        equal("type", ada.type, "individual")
        equal("metadata", ada.metadata, {"plan": "pro", "seats": 3, "ratio": 0.5, "trial": False})
        equal("organization", ada.organization_id, self.organization_id)
        equal("modified_at", ada.modified_at, None)
        equal("first_user_event_at", ada.first_user_event_at, None)
        equal("tax_id", ada.tax_id, None)
        equal("no external id", self.grace.external_id, None)
        equal("team", (self.team.type, type(self.team).__name__), ("team", "CustomerTeam"))

        get = self.polar.customers
        equal("get", await get.get(ada.id), ada)
        equal("get by external id", await get.get_external("ada-1"), ada)
        spaced = await create(email="spaced@example.com", external_id="spaced ü")
        equal("external id with a space and an umlaut", (await get.get_external("spaced ü")).id, spaced.id)
        await get.delete(spaced.id)

        async def ids(**filters):
            return [c.id for c in (await self.polar.customers.list(**filters)).items]

        newest_first = [self.team.id, self.grace.id, ada.id]
        equal("list", await ids(), newest_first)
        equal("list by e-mail", await ids(email="ADA@example.com"), [ada.id])
        equal("list by part of the name", await ids(query="lovel"), [ada.id])
        equal("list by start of the external id", await ids(query="ada-"), [ada.id])
        equal("list by metadata", await ids(metadata={"plan": "free"}), [self.grace.id])
        equal("list by two metadata values", await ids(metadata={"plan": ["free", "pro"]}), [self.grace.id, ada.id])
        equal("list by two metadata keys", await ids(metadata={"plan": "pro", "seats": 3}), [ada.id])
        equal("list by a metadata boolean", await ids(metadata={"trial": False}), [ada.id])
        equal("list sorted by e-mail", await ids(sorting=["email"]), [ada.id, self.grace.id, self.team.id])
        equal("list of the organization", await ids(organization_id=self.organization_id), newest_first)
        equal("list of another organization", await ids(organization_id=NOBODY), [])
        page = await self.polar.customers.list(limit=2, page=2)
        equal("second page", [c.id for c in page.items], [ada.id])
        equal("pagination", (page.pagination.total_count, page.pagination.max_page), (3, 2))

    async def ingestion(self):
        who = {
            "ada by id": {"customer_id": self.ada.id},
            "ada by external id": {"external_customer_id": "ada-1"},
            "grace by id": {"customer_id": self.grace.id},
            "walk-in": {"external_customer_id": "walk-in"},
        }
        events = [
            {"name": name, "timestamp": timestamp, "external_id": f"usage-{i}", "metadata": metadata, **who[customer]}
            for i, (timestamp, customer, name, metadata) in enumerate(USAGE)
        ]
        ingest, equal = self.polar.events.ingest, self.checks.equal

        first = await ingest(events=events[:5])
        equal("first five", (first.inserted, first.duplicates), (5, 0))
        rest = await ingest(events=events[3:])
        equal("the rest, two of them again", (rest.inserted, rest.duplicates), (3, 2))
        again = await ingest(events=events)
        equal("all again", (again.inserted, again.duplicates), (0, 8))
        changed = await ingest(events=[{**events[0], "metadata": {"tokens": 999_999}}])
        equal("the same external id with other contents", (changed.inserted, changed.duplicates), (0, 1))
        none = await ingest(events=[])
        equal("an empty batch", (none.inserted, none.duplicates), (0, 0))

        plain = {"name": "twin", "external_customer_id": "twins", "timestamp": "2024-01-01T00:00:00Z"}
        twins = await ingest(events=[plain, plain])
        equal("events without external id never collide", (twins.inserted, twins.duplicates), (2, 0))
        inside = await ingest(events=[{**plain, "external_id": "t"}, {**plain, "external_id": "t"}])
        equal("duplicates inside a batch", (inside.inserted, inside.duplicates), (1, 1))
        now = await ingest(events=[{"name": "now", "external_customer_id": "twins"}])
        equal("without timestamp", now.inserted, 1)

        ada = await self.polar.customers.get(self.ada.id)
        equal("first_user_event_at", ada.first_user_event_at, "2024-01-01T00:00:00Z")

    async def meters(self):
        create, equal = self.polar.meters.create, self.checks.equal
        self.tokens = await create(
            name="Tokens",
            filter=AI_CALLS,
            aggregation={"func": "sum", "property": "metadata.tokens"},
            metadata={"team": "ai", "tier": 1},
        )
        tokens = self.tokens
        equal("name", tokens.name, "Tokens")
        equal("unit", tokens.unit, "scalar")
        equal("filter", (tokens.filter.conjunction, len(tokens.filter.clauses)), ("and", 1))
        clause = tokens.filter.clauses[0]
        equal("clause", (clause.property, clause.operator, clause.value), ("name", "eq", "ai.call"))
        equal("aggregation loses its prefix", (tokens.aggregation.func, tokens.aggregation.property), ("sum", "tokens"))
        equal("metadata", tokens.metadata, {"team": "ai", "tier": 1})
        equal("organization", tokens.organization_id, self.organization_id)
        equal(
            "unset fields",
            (tokens.custom_label, tokens.custom_multiplier, tokens.modified_at, tokens.archived_at),
            (None,) * 4,
        )
        equal("get", await self.polar.meters.get(tokens.id), tokens)

        nested = {
            "conjunction": "or",
            "clauses": [
                {"property": "tokens", "operator": "gte", "value": 20},
                {"conjunction": "and", "clauses": [{"property": "cached", "operator": "eq", "value": False}]},
                {"property": "model", "operator": "like", "value": "tin"},
            ],
        }
        meter = await create(
            name="nested_100%",
            filter=nested,
            aggregation={"func": "count"},
            unit="custom",
            custom_label="call",
            custom_multiplier=1000,
        )
        equal("nested filter", meter.filter.clauses[1].clauses[0].value, False)
        self.checks.same("integer clause value", meter.filter.clauses[0].value, 20)
        self.checks.same("custom multiplier", meter.custom_multiplier, 1000)
        equal("custom label", (meter.unit, meter.custom_label), ("custom", "call"))
        # tokens >= 20: 20, 30.5, "40" (as text, "40" > "20"), 1000; cached false: 10; model like "tin": 6.
        total = await self.polar.meters.quantities(
            meter.id, start_timestamp="2024-01-01T00:00:00Z", end_timestamp="2024-12-31T00:00:00Z", interval="year"
        )
        equal("nested filter counts", total.total, 6)

        update = self.polar.meters.update
        unchanged = await update(meter.id)
        equal("an empty update writes nothing", unchanged.modified_at, None)
        renamed = await update(
            meter.id, name="Calls", metadata={"team": "web"}, unit="token", custom_label=None, custom_multiplier=None
        )
        equal("updated", (renamed.name, renamed.metadata, renamed.unit), ("Calls", {"team": "web"}, "token"))
        equal("cleared", (renamed.custom_label, renamed.custom_multiplier), (None, None))
        self.checks.true("modified_at", renamed.modified_at is not None)
        fresh = await create(
            name="Fresh",
            filter={"conjunction": "and", "clauses": [{"property": "name", "operator": "eq", "value": "never"}]},
            aggregation={"func": "count"},
        )
        changed = await update(
            fresh.id, aggregation={"func": "unique", "property": "user"}, filter=EVERYTHING | {"conjunction": "or"}
        )
        equal(
            "aggregation of an unused meter",
            (changed.aggregation.func, changed.aggregation.property),
            ("unique", "user"),
        )
        equal("filter of an unused meter", (changed.filter.conjunction, changed.filter.clauses), ("or", []))
        self.calls, self.fresh = renamed, changed

        async def names(**filters):
            return [m.name for m in (await self.polar.meters.list(**filters)).items]

        equal("list", await names(), ["Calls", "Fresh", "Tokens"])
        equal("list downwards", await names(sorting=["-name"]), ["Tokens", "Fresh", "Calls"])
        equal("list by creation", await names(sorting=["created_at", "name"]), ["Tokens", "Calls", "Fresh"])
        equal("list by part of the name", await names(query="OKE"), ["Tokens"])
        equal("a percent sign is literal", await names(query="%"), [])
        equal("list by metadata", await names(metadata={"team": ["ai", "web"]}), ["Calls", "Tokens"])
        equal("list by a number", await names(metadata={"tier": 1}), ["Tokens"])
        equal(
            "list of the organization",
            await names(organization_id=[self.organization_id, NOBODY]),
            ["Calls", "Fresh", "Tokens"],
        )
        equal("list of another organization", await names(organization_id=NOBODY), [])

    async def ask(self, meter, **options):
        """Quantities over three days as ([quantity of each point], total)."""
        answer = await self.polar.meters.quantities(meter.id, **{**THREE_DAYS, **options})
        return [point.quantity for point in answer.quantities], answer.total

    async def quantities(self):
        equal, tokens = self.checks.equal, self.tokens
        answer = await self.polar.meters.quantities(tokens.id, **THREE_DAYS)
        days = ["2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z", "2024-01-03T00:00:00Z"]
        equal("points by day", [(p.timestamp, p.quantity) for p in answer.quantities], list(zip(days, [36, 30.5, 0.3])))
        equal("total", answer.total, 66.8)

        los_angeles = await self.polar.meters.quantities(
            tokens.id,
            start_timestamp="2024-01-01T00:00:00-08:00",
            end_timestamp="2024-01-03T23:59:59-08:00",
            interval="day",
            timezone="America/Los_Angeles",
        )
        days = ["2024-01-01T08:00:00Z", "2024-01-02T08:00:00Z", "2024-01-03T08:00:00Z"]
        equal(
            "points in Los Angeles",
            [(p.timestamp, p.quantity) for p in los_angeles.quantities],
            list(zip(days, [26, 30.6, 0.2])),
        )
        equal("total in Los Angeles", los_angeles.total, 56.8)
        # 31 March 2024 has 23 hours in Paris: midnight is 23:00Z before it and 22:00Z after it.
        paris = await self.polar.meters.quantities(
            tokens.id,
            start_timestamp="2024-03-31T00:00:00+01:00",
            end_timestamp="2024-04-01T00:00:00+02:00",
            interval="day",
            timezone="Europe/Paris",
        )
        equal(
            "days around a change of the clock",
            [p.timestamp for p in paris.quantities],
            ["2024-03-30T23:00:00Z", "2024-03-31T22:00:00Z"],
        )

        hours = {"start_timestamp": "2024-01-03T04:00:00Z", "end_timestamp": "2024-01-03T06:00:00Z", "interval": "hour"}
        equal("by hour", await self.ask(tokens, **hours), ([0, 0.1, 0], 0.1))
        week = {"end_timestamp": "2024-01-07T23:59:59Z", "interval": "week"}
        equal("by week", await self.ask(tokens, **week), ([66.8], 66.8))
        months = {"end_timestamp": "2024-03-31T23:59:59Z", "interval": "month"}
        equal("by month", await self.ask(tokens, **months), ([66.8, 0, 0], 66.8))
        years = {"end_timestamp": "2025-12-31T23:59:59Z", "interval": "year"}
        equal("by year", await self.ask(tokens, **years), ([66.8, 0], 66.8))

        ada, grace = self.ada.id, self.grace.id
        equal("one customer", await self.ask(tokens, customer_id=ada), ([30, 0, 0], 30))
        equal("the same by external id", await self.ask(tokens, external_customer_id="ada-1"), ([30, 0, 0], 30))
        equal(
            "external id without customer", await self.ask(tokens, external_customer_id="walk-in"), ([6, 0, 0.3], 6.3)
        )
        equal("two customers", await self.ask(tokens, customer_id=[ada, grace]), ([30, 30.5, 0], 60.5))
        equal(
            "both kinds of id",
            await self.ask(tokens, customer_id=grace, external_customer_id=["walk-in", "?"]),
            ([6, 30.5, 0.3], 36.8),
        )
        equal("unknown customer", await self.ask(tokens, customer_id=NOBODY), ([0, 0, 0], 0))
        equal("metadata", await self.ask(tokens, metadata={"model": "small"}), ([10, 30.5, 0], 40.5))
        equal(
            "two metadata values",
            await self.ask(tokens, metadata={"model": ["small", "large"]}),
            ([30, 30.5, 0.3], 60.8),
        )
        equal("metadata boolean", await self.ask(tokens, metadata={"cached": True}), ([20, 0, 0], 20))
        equal("two metadata keys", await self.ask(tokens, metadata={"model": "large", "tokens": 20}), ([20, 0, 0], 20))
        equal(
            "metadata and customer",
            await self.ask(tokens, metadata={"model": "small"}, customer_id=grace),
            ([0, 30.5, 0], 30.5),
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

        await self.polar.events.ingest(
            events=[
                {
                    "name": "ai.call",
                    "customer_id": grace,
                    "timestamp": "2024-02-01T12:00:00Z",
                    "metadata": {"tokens": 0.7},
                }
            ]
        )
        equal("read your writes", await self.ask(tokens, **months), ([66.8, 0.7, 0], 67.5))

    async def quantities_of_other_aggregations(self):
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
            meter = await self.polar.meters.create(name=f"by {function}", filter=AI_CALLS, aggregation=aggregation)
            self.checks.equal(function, await self.ask(meter), expected)

    async def timestamps(self, **filters):
        """Timestamps of the events a list selects, oldest first, without year and time zone for short expectations."""
        answer = await self.polar.events.list(**{"limit": 100, "sorting": ["timestamp"], **filters})
        self.checks.equal("total_count", answer.pagination.total_count, len(answer.items))
        return [event.timestamp[5:16] for event in answer.items]

    async def event_lists(self):
        equal, named = self.checks.equal, {"name": ["ai.call", "page.view"]}
        ai_calls = [
            "01-01T00:00",
            "01-01T13:00",
            "01-01T20:00",
            "01-02T23:59",
            "01-03T05:00",
            "01-03T23:00",
            "02-01T12:00",
            "03-10T10:00",
        ]
        equal("by name", await self.timestamps(name="ai.call"), ai_calls)
        newest = await self.polar.events.list(name="ai.call", limit=2)
        equal("newest first", [e.timestamp for e in newest.items], ["2024-03-10T10:00:00Z", "2024-02-01T12:00:00Z"])
        equal("pagination", (newest.pagination.total_count, newest.pagination.max_page), (8, 4))
        equal("by source", len(await self.timestamps(source="user", **named)), 9)
        equal("no system events of these names", await self.timestamps(source=["system"], **named), [])
        ada = ["01-01T00:00", "01-01T13:00", "01-02T08:00"]
        equal("by customer", await self.timestamps(customer_id=self.ada.id), ada)
        equal("by external customer", await self.timestamps(external_customer_id="ada-1"), ada)
        equal("by both", len(await self.timestamps(customer_id=self.ada.id, external_customer_id="walk-in")), 6)
        summed = [t for t in ai_calls if t != "03-10T10:00"]
        equal("those a meter counts", await self.timestamps(meter_id=self.tokens.id), summed)
        within = {"start_timestamp": "2024-01-01T13:00:00Z", "end_timestamp": "2024-01-03T05:00:00Z"}
        equal("strictly between", await self.timestamps(name="ai.call", **within), ["01-01T20:00", "01-02T23:59"])
        wide = json.dumps(
            {"conjunction": "and", "clauses": [{"property": "metadata.tokens", "operator": "gt", "value": 25}]}
        )
        # Greater than 25: 30.5, 1000, and the text "40" compared with the text "25".
        equal("by filter", await self.timestamps(filter=wide), ["01-02T08:00", "01-02T23:59", "03-10T10:00"])
        equal("by metadata", await self.timestamps(metadata={"model": "small"}), ["01-01T00:00", "01-02T23:59"])
        equal(
            "by two metadata keys",
            await self.timestamps(metadata={"model": ["large", "small"], "cached": True}),
            ["01-01T13:00"],
        )
        equal("by text", await self.timestamps(query="PAGE.v", organization_id=self.organization_id), ["01-02T08:00"])
        equal("of another organization", await self.timestamps(organization_id=NOBODY), [])

        (event,) = (await self.polar.events.list(metadata={"tokens": 30.5})).items
        equal("microseconds", event.timestamp, "2024-01-02T23:59:59.999999Z")
        equal(
            "customer",
            (event.customer_id, event.customer.email, event.external_customer_id),
            (self.grace.id, "grace@example.com", None),
        )
        equal("name, label, source", (event.name, event.label, event.source), ("ai.call", "ai.call", "user"))
        equal("organization", event.organization_id, self.organization_id)
        equal("get", await self.polar.events.get(event.id), event)
        (event,) = (await self.polar.events.list(metadata={"tokens": 20})).items
        equal(
            "customer by external id",
            (event.customer_id, event.customer.id, event.external_customer_id),
            (None, self.ada.id, "ada-1"),
        )
        (event,) = (await self.polar.events.list(metadata={"tokens": 6})).items
        equal(
            "without customer", (event.customer_id, event.customer, event.external_customer_id), (None, None, "walk-in")
        )

    async def event_trees(self):
        equal, ingest = self.checks.equal, self.polar.events.ingest
        minutes = iter(range(60))

        def event(name, **rest):
            return {
                "name": name,
                "external_customer_id": "tree",
                "timestamp": f"2024-05-01T00:{next(minutes):02}:00Z",
                **rest,
            }

        async def only(name):
            (found,) = (await self.polar.events.list(name=name)).items
            return found

        await ingest(events=[event("tree.root", external_id="tree-root")])
        await ingest(events=[event("tree.child", external_id="tree-child", parent_id="tree-root")])
        child = await only("tree.child")
        await ingest(events=[event("tree.grandchild", parent_id=child.id)])
        root = await only("tree.root")
        equal("parent by external id", child.parent_id, root.id)
        equal("parent by event id", (await only("tree.grandchild")).parent_id, child.id)
        equal("children", (root.child_count, (await only("tree.child")).child_count), (1, 1))
        equal("children in get", (await self.polar.events.get(root.id)).child_count, 1)

        async def names(**filters):
            answer = await self.polar.events.list(external_customer_id="tree", sorting=["timestamp"], **filters)
            return [e.name.removeprefix("tree.") for e in answer.items]

        equal("roots", await names(depth=0), ["root"])
        equal("one level", await names(depth=1), ["root", "child"])
        equal("children of the root", await names(parent_id=root.id), ["child"])
        equal("descendants of the root", await names(parent_id=root.id, depth=2), ["child", "grandchild"])

        await ingest(events=[event("tree.early", parent_id="tree-late")])
        equal("a parent that has not arrived", (await only("tree.early")).parent_id, None)
        await ingest(events=[event("tree.late", external_id="tree-late")])
        equal("the parent arrives later", (await only("tree.early")).parent_id, (await only("tree.late")).id)

    async def event_names_and_types(self):
        equal = self.checks.equal
        named = (await self.polar.events.list_names(query="AI.")).items
        equal("one name", len(named), 1)
        ai = named[0]
        equal("name", (ai.name, ai.label, ai.source), ("ai.call", "ai.call", "user"))
        self.checks.same("occurrences", ai.occurrences, 8)
        equal("first and last", (ai.first_seen, ai.last_seen), ("2024-01-01T00:00:00Z", "2024-03-10T10:00:00Z"))
        of_ada = await self.polar.events.list_names(customer_id=self.ada.id, sorting=["-occurrences"])
        equal(
            "names of a customer", [(n.name, n.occurrences) for n in of_ada.items], [("ai.call", 2), ("page.view", 1)]
        )
        of_walk_in = await self.polar.events.list_names(external_customer_id="walk-in", source="user")
        equal("names of an external customer", [(n.name, n.occurrences) for n in of_walk_in.items], [("ai.call", 3)])
        names = [n.name for n in await self.polar.events.iter_list_names(limit=1, sorting=["name"], source="user")]
        equal("iterated names", names, sorted(names))
        self.checks.true("iterated names are all there", {"ai.call", "page.view", "tree.root"} <= set(names), names)

        types = {t.name: t for t in await self.polar.event_types.iter_list(limit=2, sorting=["name"])}
        view = types["page.view"]
        equal(
            "type",
            (view.label, view.label_property_selector, view.source, view.occurrences),
            ("page.view", None, "user", 1),
        )
        labelled = await self.polar.event_types.update(view.id, label="  Page viewed ", label_property_selector="model")
        equal(
            "updated type",
            (labelled.id, labelled.name, labelled.label, labelled.label_property_selector),
            (view.id, "page.view", "Page viewed", "model"),
        )
        again = await self.polar.event_types.update(view.id, label="Page viewed")
        equal("the selector is reset when absent", again.label_property_selector, None)
        found = (await self.polar.event_types.list(query="viewed")).items
        equal("type found by label", [t.name for t in found], ["page.view"])
        (event,) = (await self.polar.events.list(name="page.view")).items
        equal("label of the event", event.label, "Page viewed")
        (name,) = (await self.polar.events.list_names(query="page.view")).items
        equal("label of the name", name.label, "Page viewed")
        of_ada = await self.polar.event_types.list(external_customer_id="ada-1", source="user", sorting=["name"])
        equal("types of a customer", [t.name for t in of_ada.items], ["ai.call", "page.view"])
        roots = {t.name for t in await self.polar.event_types.iter_list(root_events=True, query="tree.")}
        equal(
            "types of roots",
            roots & {"tree.root", "tree.child", "tree.grandchild", "tree.late"},
            {"tree.root", "tree.late"},
        )

    async def metadata_kinds(self):
        equal, same = self.checks.equal, self.checks.same
        llm = {"vendor": "acme", "model": "m1", "input_tokens": 7, "output_tokens": 5, "total_tokens": 12}
        sent = {
            "text": 'ünïcode ✓ " \\',
            "int": 7,
            "big": 9007199254740993,
            "float": 7.25,
            "whole float": 7.0,
            "true": True,
            "false": False,
            "a.dotted key": 1,
            "_cost": {"amount": "1.25", "currency": "usd"},
            "_llm": {**llm, "prompt": "hi", "cached_input_tokens": 2},
        }
        base = {"name": "kinds", "external_customer_id": "kinds"}
        more = {"_cost": {"amount": 0.1, "currency": "usd"}, "_llm": llm}
        await self.polar.events.ingest(
            events=[
                {**base, "metadata": sent, "timestamp": "2024-06-01T00:00:00Z"},
                {**base, "metadata": more, "timestamp": "2024-06-01T00:00:01Z"},
            ]
        )
        first, second = (await self.polar.events.list(name="kinds", sorting=["timestamp"])).items
        for key in ("text", "int", "big", "float", "whole float", "true", "false", "a.dotted key"):
            same(key, first.metadata[key], sent[key])
        cost, read = first.metadata["_cost"], first.metadata["_llm"]
        same("cost", (cost.amount, cost.currency), ("1.25", "usd"))
        equal("cost given as a number", second.metadata["_cost"].amount, "0.1")
        equal(
            "llm",
            (read.vendor, read.model, read.input_tokens, read.output_tokens, read.total_tokens),
            ("acme", "m1", 7, 5, 12),
        )
        equal("llm options", (read.prompt, read.response, read.cached_input_tokens), ("hi", None, 2))
        kinds = {"conjunction": "and", "clauses": [{"property": "name", "operator": "eq", "value": "kinds"}]}
        june = {"start_timestamp": "2024-06-01T00:00:00Z", "end_timestamp": "2024-06-01T00:00:00Z"}
        for path, total in {
            "_cost.amount": 1.35,
            "_llm.total_tokens": 24,
            "big": 9007199254740992.0,
            "float": 7.25,
        }.items():
            meter = await self.polar.meters.create(
                name=f"sum of {path}", filter=kinds, aggregation={"func": "sum", "property": path}
            )
            equal(f"sum of {path}", await self.ask(meter, **june), ([total], total))

    async def customer_meters(self):
        equal, meters = self.checks.equal, self.polar.customer_meters
        (ada,) = (await meters.list(customer_id=self.ada.id, meter_id=self.tokens.id)).items
        equal("Ada", (ada.consumed_units, ada.credited_units, ada.balance), (30, 0, -30))
        self.checks.same("credited units are whole", ada.credited_units, 0)
        equal(
            "customer",
            (ada.customer_id, ada.customer.id, ada.customer.email),
            (self.ada.id, self.ada.id, "Ada@example.com"),
        )
        equal("meter", (ada.meter_id, ada.meter.name, ada.meter.aggregation.func), (self.tokens.id, "Tokens", "sum"))
        equal("get", await meters.get(ada.id), ada)
        (by_external,) = (await meters.list(external_customer_id="ada-1", meter_id=[self.tokens.id])).items
        equal("by external customer", by_external.id, ada.id)
        both = await meters.list(
            customer_id=[self.ada.id, self.grace.id], meter_id=self.tokens.id, sorting=["-consumed_units"]
        )
        # Grace: 30.5 and 0.7; her text "40" is no number.
        equal(
            "two customers",
            [(m.customer.id, m.consumed_units) for m in both.items],
            [(self.grace.id, 31.2), (self.ada.id, 30)],
        )
        (navy,) = (await meters.list(customer_id=self.team.id, meter_id=self.tokens.id)).items
        equal(
            "a customer without usage has the meter at zero",
            (navy.consumed_units, navy.balance, navy.modified_at),
            (0, 0, None),
        )
        equal("usage without customer has no meter", (await meters.list(external_customer_id="walk-in")).items, [])
        equal("of another organization", (await meters.list(organization_id=NOBODY)).items, [])
        every = await meters.iter_list(limit=7, sorting=["meter_name", "customer_name"])
        count = (await self.polar.meters.list()).pagination.total_count
        equal("one for every customer and meter", len({m.id for m in every}), 3 * count)

        state = await self.polar.customers.get_state(self.ada.id)
        equal(
            "state of the customer",
            (state.id, state.external_id, state.email),
            (self.ada.id, "ada-1", "Ada@example.com"),
        )
        equal(
            "state without subscriptions and benefits", (state.active_subscriptions, state.granted_benefits), ([], [])
        )
        of_tokens = [m for m in state.active_meters if m.meter_id == self.tokens.id]
        equal(
            "state of the meter",
            [(m.id, m.consumed_units, m.credited_units, m.balance) for m in of_tokens],
            [(ada.id, 30, 0, -30)],
        )
        equal("state by external id", await self.polar.customers.get_state_external("ada-1"), state)
        team = await self.polar.customers.get_state_external("navy")
        equal("state of a team", (team.type, len(team.active_meters)), ("team", count))

        await self.polar.events.ingest(
            events=[
                {
                    "name": "ai.call",
                    "external_customer_id": "ada-1",
                    "timestamp": "2024-07-01T00:00:00Z",
                    "metadata": {"tokens": 0.5},
                }
            ]
        )
        after = await meters.get(ada.id)
        equal("read your writes", (after.consumed_units, after.balance), (30.5, -30.5))
        self.checks.true("modified_at moved", after.modified_at is not None)

        late = await self.polar.customers.create(email="walk-in@example.com", external_id="walk-in")
        (adopted,) = (await meters.list(customer_id=late.id, meter_id=self.tokens.id)).items
        equal("a late customer adopts the usage of its external id", adopted.consumed_units, 6.3)
        equal("and has its first event", late.first_user_event_at, "2024-01-01T20:00:00Z")
        (event,) = (await self.polar.events.list(metadata={"tokens": 6})).items
        equal("the event finds its customer", (event.customer_id, event.customer.id), (None, late.id))
        equal("and the quantities too", await self.ask(self.tokens, customer_id=late.id), ([6, 0, 0.3], 6.3))

    async def archived_meters(self):
        equal, meters = self.checks.equal, self.polar.meters
        archived = await meters.update(self.calls.id, is_archived=True)
        self.checks.true("archived_at", archived.archived_at is not None)
        equal("archived ones", [m.id for m in (await meters.list(is_archived=True)).items], [self.calls.id])
        live = [m.id for m in await meters.iter_list(is_archived=False)]
        self.checks.true("live ones", self.calls.id not in live and self.tokens.id in live)
        self.checks.true("both", self.calls.id in [m.id for m in await meters.iter_list()])
        equal("still answers", (await self.ask(self.calls))[1], 5)  # tokens >= 20: 20, 30.5, 1000; cached false; "tin"
        shown = await self.polar.customer_meters.iter_list(customer_id=self.ada.id, limit=100)
        self.checks.true("hidden among customer meters", self.calls.id not in [m.meter_id for m in shown])
        asked = await self.polar.customer_meters.list(customer_id=self.ada.id, meter_id=self.calls.id)
        equal("shown when asked for", len(asked.items), 1)
        equal("back", (await meters.update(self.calls.id, is_archived=False)).archived_at, None)

    async def pages(self):
        equal = self.checks.equal
        names = [f"page {i:02}" for i in range(23)]
        for name in reversed(names):
            await self.polar.meters.create(
                name=name, filter=EVERYTHING, aggregation={"func": "count"}, metadata={"kind": "paged"}
            )
        paged = {"metadata": {"kind": "paged"}}
        equal("iterated meters", [m.name for m in await self.polar.meters.iter_list(**paged)], names)
        equal(
            "iterated from the second page",
            [m.name for m in await self.polar.meters.iter_list(page=2, limit=8, **paged)],
            names[8:],
        )
        past = await self.polar.meters.list(page=99, **paged)
        equal("past the end", (past.items, past.pagination.total_count, past.pagination.max_page), ([], 23, 3))

        # 230 events in 115 seconds: ties of two, which must neither repeat nor vanish over the pages.
        events = [
            {
                "name": "paged",
                "external_customer_id": "paged",
                "external_id": f"paged-{i}",
                "timestamp": f"2024-08-01T00:{i // 2 // 60:02}:{i // 2 % 60:02}Z",
                "metadata": {"i": i},
            }
            for i in range(230)
        ]
        equal("many events", (await self.polar.events.ingest(events=events)).inserted, 230)
        for limit, size in ((100, 100), (1000, 100), (7, 7)):
            for sorting, expected in (("timestamp", list(range(230))), ("-timestamp", list(range(229, -1, -1)))):
                seen, page, last = [], 1, 1
                while page <= last:
                    answer = await self.polar.events.list(name="paged", page=page, limit=limit, sorting=[sorting])
                    seen += [e.metadata["i"] for e in answer.items]
                    last, page = answer.pagination.max_page, page + 1
                equal(f"events by {limit}, {sorting}", seen, expected)
                equal(f"pages by {limit}", last, -(-230 // size))
        customers = await self.polar.customers.iter_list(limit=1, sorting=["created_at"])
        equal(
            "iterated customers",
            [c.email for c in customers],
            ["Ada@example.com", "grace@example.com", "team@example.com", "walk-in@example.com"],
        )

    async def customer_changes(self):
        equal, customers = self.checks.equal, self.polar.customers
        eve = await customers.create(email="eve@example.com", name="Eve", external_id="eve", metadata={"a": 1})
        same = await customers.update(eve.id)
        equal("an empty update", (same.name, same.metadata), ("Eve", {"a": 1}))
        updated = await customers.update(
            eve.id,
            name=None,
            email="eve2@example.com",
            metadata={"b": True},
            locale="FR-ca",
            billing_address={"country": "us", "state": "CA"},
        )
        equal(
            "updated",
            (updated.name, updated.email, updated.metadata, updated.locale),
            (None, "eve2@example.com", {"b": True}, "fr-CA"),
        )
        equal("address", (updated.billing_address.country, updated.billing_address.state), ("US", "US-CA"))
        equal("kept", (updated.external_id, updated.created_at), ("eve", eve.created_at))
        by_external = await customers.update_external("eve", name="Eve Again")
        equal("updated by external id", (by_external.id, by_external.name), (eve.id, "Eve Again"))
        later = await customers.create(email="mallory@example.com")
        equal("external id set later", (await customers.update(later.id, external_id="mallory")).external_id, "mallory")

        await self.polar.events.ingest(
            events=[{"name": "bye", "external_customer_id": "eve"}, {"name": "bye", "customer_id": eve.id}]
        )
        equal("deleting answers nothing", await customers.delete(eve.id), None)
        equal("deleting by external id", await customers.delete_external("mallory", anonymize=True), None)
        for what, call in (("by id", customers.get(eve.id)), ("by external id", customers.get_external("mallory"))):
            await self.raises(f"gone {what}", self.errors.ResourceNotFound, call, 404)
        equal("not listed", (await customers.list(query="eve")).items, [])
        equal("events stay", len((await self.polar.events.list(name="bye")).items), 2)
        reborn = await customers.create(email="eve2@example.com", external_id="eve")
        self.checks.true("e-mail and external id are free again", reborn.id != eve.id)

    async def not_found(self):
        polar_, missing = self.polar, self.errors.ResourceNotFound
        quantities = polar_.meters.quantities
        for what, call in {
            "meters.get": polar_.meters.get(NOBODY),
            "meters.update": polar_.meters.update(NOBODY, name="abc"),
            "meters.quantities": quantities(NOBODY, **THREE_DAYS),
            "events.get": polar_.events.get(NOBODY),
            "customers.get": polar_.customers.get(NOBODY),
            "customers.update": polar_.customers.update(NOBODY, name="x"),
            "customers.delete": polar_.customers.delete(NOBODY),
            "customers.get_state": polar_.customers.get_state(NOBODY),
            "customers.get_external": polar_.customers.get_external("nobody"),
            "customers.update_external": polar_.customers.update_external("nobody", name="x"),
            "customers.delete_external": polar_.customers.delete_external("nobody"),
            "customers.get_state_external": polar_.customers.get_state_external("nobody"),
            "customer_meters.get": polar_.customer_meters.get(NOBODY),
        }.items():
            error = await self.raises(what, missing, call, 404)
            if error:
                self.checks.equal(f"{what}: body", error.error.error, "ResourceNotFound")
        update = polar_.event_types.update(NOBODY, label="x")
        await self.raises("event_types.update", self.errors.EventTypesUpdate404Error, update, 404)

    async def refused_bodies_and_queries(self):
        invalid, create, tokens = self.invalid, self.polar.meters.create, self.tokens
        count = {"func": "count"}
        await invalid(
            "short name", create(name="ab", filter=EVERYTHING, aggregation=count), "string_too_short", ["body", "name"]
        )
        await invalid("nothing", create(), "missing", ["body", "filter"])
        await invalid(
            "unknown function",
            create(name="abc", filter=EVERYTHING, aggregation={"func": "median"}),
            "union_tag_invalid",
            ["body", "aggregation"],
        )
        await invalid(
            "no property",
            create(name="abc", filter=EVERYTHING, aggregation={"func": "sum"}),
            "missing",
            ["body", "aggregation", "sum", "property"],
        )
        await invalid(
            "custom without label",
            create(name="abc", filter=EVERYTHING, aggregation=count, unit="custom"),
            "value_error",
            ["body"],
        )
        await invalid(
            "organization with an organization token",
            create(name="abc", filter=EVERYTHING, aggregation=count, organization_id=self.organization_id),
            "organization_token",
            ["body", "organization_id"],
        )
        await invalid(
            "filter of a used meter",
            self.polar.meters.update(tokens.id, filter=EVERYTHING),
            "forbidden",
            ["body", "filter"],
        )
        await invalid(
            "aggregation of a used meter",
            self.polar.meters.update(tokens.id, aggregation=count),
            "forbidden",
            ["body", "aggregation"],
        )
        await invalid("id that is no UUID", self.polar.meters.get("x"), "uuid_parsing", ["path", "id"])
        await invalid("sorting", self.polar.meters.list(sorting=["size"]), "enum", ["query", "sorting", 0])
        await invalid("limit", self.polar.meters.list(limit=0), "greater_than", ["query", "limit"])

        def quantities(**options):
            return self.polar.meters.quantities(tokens.id, **{**THREE_DAYS, **options})

        await invalid("interval", quantities(interval="decade"), "enum", ["query", "interval"])
        await invalid("time zone", quantities(timezone="Mars/Phobos"), "TimeZoneName", ["query", "timezone"])
        await invalid(
            "early start",
            quantities(start_timestamp="2022-12-31T00:00:00Z"),
            "greater_than_equal",
            ["query", "start_timestamp"],
        )
        await invalid(
            "no offset",
            quantities(start_timestamp="2024-01-01T00:00:00"),
            "timezone_aware",
            ["query", "start_timestamp"],
        )
        await invalid("end before start", quantities(end_timestamp="2023-06-01T00:00:00Z"), "value_error", ["query"])
        await invalid(
            "too many hours",
            quantities(end_timestamp="2024-02-01T00:00:00Z", interval="hour"),
            "value_error",
            ["query"],
        )
        await invalid(
            "per-customer function",
            quantities(customer_aggregation_function="median"),
            "enum",
            ["query", "customer_aggregation_function"],
        )

        def ingest(**event):
            good = {"name": "refused", "external_customer_id": "x"}
            return self.polar.events.ingest(events=[good, {**good, **event}])

        external = ["body", "events", 1, "EventCreateExternalCustomer"]
        await invalid("future", ingest(timestamp="2999-01-01T00:00:00Z"), "value_error", [*external, "timestamp"])
        await invalid("long name", ingest(name="x" * 129), "string_too_long", [*external, "name"])
        await invalid("metadata that is null", ingest(metadata=None), "dict_type", [*external, "metadata"])
        await invalid(
            "cost without currency",
            ingest(metadata={"_cost": {"amount": 1}}),
            "missing",
            [*external, "metadata", "_cost", "currency"],
        )
        unknown = self.polar.events.ingest(
            events=[{"name": "refused", "external_customer_id": "x"}, {"name": "refused", "customer_id": NOBODY}]
        )
        await invalid("unknown customer", unknown, "customer_id", ["body", "events", 1, "customer_id"])
        self.checks.equal(
            "nothing of a refused batch is stored", (await self.polar.events.list(name="refused")).items, []
        )
        await invalid("event filter", self.polar.events.list(filter="{"), "json_invalid", ["query", "filter"])

        customer = self.polar.customers
        await invalid("no e-mail", customer.create(), "missing", ["body", "individual", "email"])
        await invalid("bad e-mail", customer.create(email="bad"), "value_error", ["body", "individual", "email"])
        await invalid("taken e-mail", customer.create(email="ADA@EXAMPLE.com"), "value_error", ["body", "email"])
        await invalid(
            "taken external id",
            customer.create(email="new@example.com", external_id="ada-1"),
            "value_error",
            ["body", "external_id"],
        )
        await invalid(
            "external id cannot change",
            customer.update(self.ada.id, external_id="other"),
            "value_error",
            ["body", "external_id"],
        )
        label = self.polar.event_types.list(query="ai.call")
        (ai_call,) = (await label).items
        await invalid(
            "blank label", self.polar.event_types.update(ai_call.id, label=" "), "value_error", ["body", "label"]
        )

    async def refused_tokens(self):
        plain, meters = polar.base.PolarClientError, self.polar.meters
        error = await self.raises("unknown token", plain, meters.list(request_access_token="floe_oat_wrong"), 401)
        self.checks.true("unknown token: body", error and "invalid_token" in str(error.error), error)
        weak = self.server.new_token(self.organization_id, ["events:write"])
        error = await self.raises("missing scope", plain, meters.list(request_access_token=weak), 403)
        self.checks.true("missing scope: body", error and "insufficient_scope" in str(error.error), error)
        create = self.polar.customers.create(email="weak@example.com", request_access_token=weak)
        await self.raises("missing scope to write", plain, create, 403)
        one = await self.polar.events.ingest(
            events=[{"name": "weak", "external_customer_id": "x"}], request_access_token=weak
        )
        self.checks.equal("the scope that it has", one.inserted, 1)
        stranger = self.server.stranger_token
        get = meters.get(self.tokens.id, request_access_token=stranger)
        await self.raises("another organization's meter", self.errors.ResourceNotFound, get, 404)
        get = self.polar.customers.get_external("ada-1", request_access_token=stranger)
        await self.raises("another organization's customer", self.errors.ResourceNotFound, get, 404)


async def check_organization_header(server, checks, module, client_class):
    """The 1.x clients name their organization in a header when told to."""
    organization_id = server.new_organization("python-1x")
    token = server.new_token(organization_id)
    for header, allowed in ((organization_id, True), (NOBODY, False)):
        client = Uniform(client_class(token, base_url=server.url, organization_id=header))
        try:
            await client.meters.list()
            checks.true("its own organization in the header", allowed, header)
        except polar.base.PolarClientError as error:
            checks.equal("another organization in the header", (allowed, error.status_code), (False, 403))


async def main():
    server, checks = Server(), Checks()
    for version in ("2026_04", "2026_10", "2027_01"):
        module = importlib.import_module(f"polar.v{version}")
        for client_class in (module.Polar, module.PolarAsync):
            with checks.section(f"{version} {client_class.__name__}"):
                organization_id = server.new_organization("python-1x")
                token = server.new_token(organization_id)
                client = Uniform(client_class(token, base_url=server.url))
                await Scenario(server, checks, module.__name__, client, organization_id).run()
                with checks.section("organization header"):
                    await check_organization_header(server, checks, module, client_class)
    checks.finish()


if __name__ == "__main__":
    asyncio.run(main())
