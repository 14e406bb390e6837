"""What the operators share: their window, their filters, and how errors leave a task."""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from inspect import signature
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator

from airflow_provider_callreport.api.errors import WindowError
from airflow_provider_callreport.api.filters import Window, empty_window, parse_time, warn_of_undocumented
from airflow_provider_callreport.errors import CallReportError
from airflow_provider_callreport.hooks.masking import mask_secret
from airflow_provider_callreport.rules import shown, unknown
from airflow_provider_callreport.task.arguments.argument import Argument, ArgumentError, check_each, settled_values
from airflow_provider_callreport.task.arguments.together import check_window
from airflow_provider_callreport.task.mapped_names import name_by_window
from airflow_provider_callreport.task.private_filters import SECRET_ARGS, PrivateFilters, PrivateS3Arguments
from airflow_provider_callreport.task.retry_policy import default_retry_policy
from airflow_provider_callreport.task.stopping import StopsWhenKilled

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    import jinja2
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_callreport.report import RunIdentity

_NO_INTERVAL = "this run has no data interval (it was started by hand or by an asset); set window_start and window_end"

_EMPTY_INTERVAL = (
    "Where they come from the run's data interval: a cron schedule of Airflow 3 gives an empty one. Set window_start "
    'and window_end, or write the schedule as CronDataIntervalTimetable("0 0 * * *", timezone="Asia/Kolkata")'
)

#: What names a place or a mail. Jinja makes the text "None" of None there: ``calls/None/calls.csv``.
_WITHOUT_HOLES = frozenset({"s3_bucket", "s3_key", "manifest_key", "destination", "filename", "email_subject"})

#: What a run has only when it has a logical date.
_DATES = ("ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz", "logical_date")


class CallReportBaseOperator(StopsWhenKilled, BaseOperator):
    """Base of the operators: arguments checked as early as they can be, errors in Airflow's words.

    A subclass has a table of its ``arguments``, sets them as attributes and then calls `check_now`. What a rule of the
    table cannot tell, because several arguments must fit together, it refuses in `check`.
    """

    #: The rows of `task.arguments.tables`.
    arguments: ClassVar[Sequence[Argument]] = ()
    #: Objects that are shown without phone numbers.
    private_fields: ClassVar[Sequence[str]] = ("filters",)
    #: Texts with the mail's own placeholders ``[[ ]]``; see `delivery.placeholders`.
    mail_texts: ClassVar[Sequence[str]] = ()
    #: Texts -> the names that their placeholders ``[[ ]]`` may have.
    placeholders: ClassVar[Mapping[str, Collection[str]]] = {}
    ui_color = "#e8f1fb"
    callreport_conn_id: str
    filters: Mapping[str, Any] | None
    window_start: Any
    window_end: Any
    _warned_of_filters = False

    def __init__(self, **kwargs: Any) -> None:
        names = _constructor_names(type(self))
        for name in kwargs:
            # Airflow's own marks of mapped tasks begin with a low line.
            if name not in names and not name.startswith("_"):
                raise ArgumentError(self.refusal_of_unknown(name))
        # Airflow gives a class without a constructor the one of BaseOperator, and takes that one's defaults, None for
        # inlets and outlets, for those of a mapped task: `expand` would fail (task SDK 1.3.2, _get_operator_defaults).
        super().__init__(**kwargs)

    def refusal_of_unknown(self, name: str) -> str:
        """The sentence for an argument that does not exist."""
        return unknown(type(self).__name__, name, [argument.name for argument in self.arguments])

    def check(self, settled: Mapping[str, Any]) -> None:
        """Refuse values that do not fit together.

        Args:
            settled: the arguments whose value is final, by name; each of them has been checked alone.

        Raises:
            ValueError: one sentence that names the argument, what it was and what is allowed.
        """

    def check_now(self) -> None:
        """Check the arguments that are written out, while the Dag is parsed.

        Raises:
            ArgumentError: one is wrong.
        """
        try:
            self.check_all(rendered=False)
            if self.has_dag():  # type: ignore[no-untyped-call]
                self._check_braces(getattr(self.dag, "user_defined_macros", None) or ())
        except ValueError as error:
            raise ArgumentError(str(error)) from None
        if getattr(self, "retry_policy", None) is None:
            self.retry_policy = default_retry_policy()

    def _check_braces(self, known: Container[str]) -> None:
        """Refuse ``{{ group }}`` where ``[[ group ]]`` is meant.

        Args:
            known: the names that Airflow fills in.

        Raises:
            ArgumentError: Airflow would find nothing, or fail.
        """
        for argument, names in self.placeholders.items():
            text = getattr(self, argument, None)
            if not isinstance(text, str) or not any(mark in text for mark in ("{{", "{%")):
                continue
            from airflow_provider_callreport.delivery.placeholders import name_in_braces

            name = name_in_braces(text, [name for name in (*names, "group") if name not in known])
            if name is not None:
                example = name if name in names else next(iter(names))
                raise ArgumentError(
                    f"{argument} has {{{{ {name} }}}}, which Airflow does not know; what the export knows is "
                    f"written in square brackets, as [[ {example} ]]"
                )

    def values(self) -> dict[str, Any]:
        """The arguments as they are now, by name."""
        return {argument.name: getattr(self, argument.name) for argument in self.arguments}

    def check_all(self, *, rendered: bool) -> None:
        """Check the arguments that are settled, each alone and then together.

        Args:
            rendered: whether templates have been rendered, so that all of them are.

        Raises:
            ValueError: one is wrong.
        """
        settled = settled_values(self.arguments, self.values(), rendered=rendered)
        check_each(self.arguments, settled)
        if not rendered:
            # After rendering they are read in the account's zone.
            check_window(settled)
        self.check(settled)

    @contextmanager
    def errors_for_airflow(self) -> Iterator[None]:
        """Check the rendered arguments, then let the block's errors out as Airflow wants them; end it when killed.

        From Airflow 3.3 on, the retry policy looks at the error itself; before, ``AirflowFailException`` is how to say
        that another try does not help.
        """
        try:
            self.check_all(rendered=True)
            self._warn_of_filters()
            with self.stoppable():
                yield
        except CallReportError as error:
            if error.retryable or self.retry_policy is not None:
                raise
            raise AirflowFailException(str(error)) from error
        except (ValueError, ImportError) as error:
            raise AirflowFailException(str(error)) from error

    def _warn_of_filters(self) -> None:
        """Once a process: a sensor comes here at each look."""
        if not self._warned_of_filters:
            self._warned_of_filters = True
            warn_of_undocumented(getattr(self, "filters", None) or {})

    def window(self, zone: ZoneInfo) -> Window:
        """The window of this run.

        Raises:
            WindowError: it is missing or empty.
        """
        start, end = (parse_time(getattr(self, name), name, zone) for name in ("window_start", "window_end"))
        if start == end:
            raise WindowError(f"{empty_window(start, end)}. {_EMPTY_INTERVAL}")
        return Window(start, end, zone)

    def render_template(
        self,
        content: Any,
        context: Context,
        jinja_env: jinja2.Environment | None = None,
        seen_oids: set[int] | None = None,
    ) -> Any:
        """Render; what native rendering makes a number of is given as the text that it was.

        In a Dag with ``render_template_as_native_obj`` Airflow reads text as Python does: ``+919876543210`` becomes a
        number without its sign. No argument of these operators is a number that a template gives.
        """
        from jinja2 import Undefined

        value = super().render_template(content, context, jinja_env, seen_oids)
        if isinstance(value, Undefined):
            # Native rendering hands it on, and Airflow's own refuses to make text of it here.
            return str(value)
        if not isinstance(content, str) or isinstance(value, bool) or not isinstance(value, (int, float, complex)):
            return value
        template = (jinja_env or self.get_template_env()).from_string(content)
        return "".join(map(str, template.root_render_func(template.new_context(dict(context)))))

    def _do_render_template_fields(
        self,
        parent: Any,
        template_fields: Iterable[str],
        context: Context,
        jinja_env: jinja2.Environment,
        seen_oids: set[int],
    ) -> None:
        """Render; say what a run without a date lacks, and keep numbers in filters, and keys, private.

        This method and not ``render_template_fields``, because Airflow renders a mapped task through this one alone.

        Raises:
            AirflowFailException: a template uses a date that the run does not have, or leaves a hole in a place's name.
        """
        from jinja2 import UndefinedError

        if parent is self:
            self._check_braces({*context, *jinja_env.globals})
        raw_start = self.window_start
        alone = [name for name in template_fields if parent is self and name in {*self.mail_texts, *_WITHOUT_HOLES}]
        others = [name for name in template_fields if name not in alone]
        try:
            super()._do_render_template_fields(parent, others, context, jinja_env, seen_oids)
            for name in alone:
                with self._holes_refused(name, jinja_env) as environment:
                    if name in self.mail_texts:
                        self._render_mail_text(name, context, environment, seen_oids)
                    else:
                        super()._do_render_template_fields(self, [name], context, environment, seen_oids)
        except UndefinedError as error:
            missing = _missing_date(error, context)
            if missing is None:
                raise
            raise AirflowFailException(missing) from error
        if parent is self:
            name_by_window(context, self.task_id, raw_start, self.window_start, self.window_end)
        for name in self.private_fields if parent is self else ():
            value = getattr(self, name, None)
            if isinstance(value, Mapping):
                setattr(self, name, PrivateFilters(value))
        arguments = getattr(self, "s3_extra_args", None) if parent is self else None
        if isinstance(arguments, Mapping) and not SECRET_ARGS.isdisjoint(arguments):
            for name in SECRET_ARGS.intersection(arguments):
                mask_secret(arguments[name])
            setattr(self, "s3_extra_args", PrivateS3Arguments(arguments))  # noqa: B010 - not every operator has it

    @contextmanager
    def _holes_refused(self, name: str, jinja_env: jinja2.Environment) -> Iterator[jinja2.Environment]:
        """The environment to render an argument with.

        Raises:
            AirflowFailException: a template in it gave None, or nothing that exists.
        """
        from jinja2 import Undefined

        holes = []

        def note(value: Any) -> Any:
            if value is None or isinstance(value, Undefined):
                holes.append(value)
            return value

        # A Dag with a ``finalize`` of its own says itself what becomes of None.
        checked = name in _WITHOUT_HOLES and jinja_env.finalize is None
        yield jinja_env.overlay(finalize=note) if checked else jinja_env
        # In a Dag with native rendering a whole argument may be None, as if it was not given.
        if holes and getattr(self, name) is not None:
            raise AirflowFailException(
                f"{name} is {shown(getattr(self, name))}, in which a template gave None; give it a value, or write "
                "{{ ... | default('something', true) }}"
            )

    def _render_mail_text(
        self, name: str, context: Context, jinja_env: jinja2.Environment, seen_oids: set[int]
    ) -> None:
        """Render one text of the mail, in which only the author's own placeholders ``[[ ]]`` count.

        Raises:
            AirflowFailException: a placeholder cannot be read.
        """
        from airflow_provider_callreport.delivery.placeholders import AuthorsPlaceholders, PlaceholderError

        placeholders = AuthorsPlaceholders(jinja_env)
        try:
            super()._do_render_template_fields(self, [name], context, placeholders.environment, seen_oids)
            text = getattr(self, name)
            if isinstance(text, str):
                setattr(self, name, placeholders.put_back(text))
        except PlaceholderError as error:
            raise AirflowFailException(f"{name}: {error}") from error


@cache
def _constructor_names(operator: type) -> frozenset[str]:
    """What the constructors of a class and its bases take."""
    constructors = [vars(base)["__init__"] for base in operator.__mro__ if "__init__" in vars(base)]
    return frozenset(name for constructor in constructors for name in signature(constructor).parameters)


def _missing_date(error: Exception, context: Mapping[str, Any] | Context) -> str | None:
    """What to say of a template that uses a date which the run does not have; None for another mistake in it."""
    match = re.search(r"'(\w+)' is undefined", str(error))
    name = match[1] if match else ""
    if name.startswith("data_interval_"):
        return _NO_INTERVAL
    if name not in _DATES or name in context:
        return None
    return (
        f"a template uses {name}, and this run has no logical date (it was started by hand without one, or by an "
        "asset); use {{ dag_run.run_after | ds }} or {{ run_id }} there, or start the run with a logical date"
    )


def run_identity(context: Mapping[str, Any] | Context) -> RunIdentity:
    """Who runs: the same for every try of one task instance."""
    from airflow_provider_callreport.report import RunIdentity

    instance: Any = context["ti"]
    return RunIdentity(
        instance.dag_id,
        instance.task_id,
        instance.run_id,
        getattr(instance, "map_index", -1),
        began=getattr(instance, "start_date", None),
    )
