//! What metering means: filters, aggregations, the calendar, customer selection and quantities.
//!
//! Pure: no clock, disk, network, async or serialization. Every execution of these rules (the
//! embedded engine, and backends to come) is tested against [`evaluate()`].
#![warn(missing_docs)]

mod aggregation;
mod calendar;
mod customer;
mod customer_meter;
mod customer_quantity;
mod evaluate;
mod event;
mod filter;
mod ids;
mod judgement;
pub mod limits;
mod meter;
mod number;
mod quantity;
mod scope;
mod timestamp;
mod value;

pub use aggregation::{Accumulator, Aggregation, AggregationFunction, Mantissa, Measure};
pub use calendar::{Interval, Series, TimeZone, bucket_start};
pub use customer::{CustomerDirectory, CustomerKey, CustomerSelection};
pub use customer_meter::{Credit, CustomerMeterUnits, carried_over};
pub use customer_quantity::{CustomerQuantitiesQuery, CustomerQuantity};
pub use evaluate::{evaluate, evaluate_customers};
pub use event::{
    CustomerRef, EventFields, EventSource, METER_CREDITED, METER_RESET, NewEvent,
    is_credit_or_reset,
};
pub use filter::{
    BooleanNotComparable, Clause, ClauseValue, Conjunction, Filter, FilterClause, Mismatch,
    Operator, Property, strip_metadata_prefix,
};
pub use ids::{
    AccessTokenId, CustomerId, CustomerMeterId, EventId, EventTypeId, IdCipher, MeterId,
    OrganizationId, Sequence,
};
pub use judgement::{Judgement, judge};
pub use meter::{Address, Customer, CustomerKind, Meter, MeterUnit, Organization};
pub use number::{Exact, Number, float_in_units};
pub use quantity::{
    Cell, CustomerCells, CustomerSlot, DistinctValue, EVERYBODY, MetadataCondition,
    MeterQuantities, MeterQuantity, QuantityAccumulator, QuantityQuery,
};
pub use scope::Scope;
pub use timestamp::Timestamp;
pub use value::{Metadata, Value};
