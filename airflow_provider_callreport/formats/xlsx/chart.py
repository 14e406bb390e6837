"""Native Excel bar charts of calls per name."""

from __future__ import annotations

from collections.abc import Sequence

from openpyxl.chart import BarChart
from openpyxl.chart.axis import ChartLines
from openpyxl.chart.data_source import AxDataSource, NumData, NumDataSource, NumRef, NumVal, StrData, StrRef, StrVal
from openpyxl.chart.label import DataLabelList
from openpyxl.chart.series import Series
from openpyxl.chart.shapes import GraphicalProperties
from openpyxl.chart.text import RichText, Text
from openpyxl.chart.title import Title
from openpyxl.drawing.line import LineProperties
from openpyxl.drawing.text import (
    CharacterProperties,
    Paragraph,
    ParagraphProperties,
    RegularTextRun,
    RichTextProperties,
)
from openpyxl.utils import quote_sheetname
from openpyxl.worksheet.worksheet import Worksheet

from airflow_provider_callreport.report import Tally

_COLOUR = "2F5C9E"
_LINES = "E3E7EE"
_WIDTH = 12.4  # centimetres: columns F to L
_ROW_HEIGHT = 0.53  # centimetres: 15 points


def bar_chart(
    sheet: Worksheet, title: str, first_row: int, tallies: Sequence[Tally], *, upright: bool, rows: int
) -> BarChart:
    """Make a chart of names in column A and calls in column B.

    Args:
        sheet: where the table stands; the chart refers to it.
        title: the chart's title.
        first_row: row of the first name.
        tallies: what stands there. Kept in the chart as well, for viewers that do not follow references.
        upright: columns over the hours of a day, whose names are numbers; else lying bars.
        rows: rows of the sheet that the chart is high.
    """
    last_row = first_row + len(tallies) - 1
    area = quote_sheetname(sheet.title) + "!$%s$" + str(first_row) + ":$%s$" + str(last_row)
    names = [tally.name for tally in tallies]
    series = Series(
        cat=_numbers(area % ("A", "A"), names, "00") if upright else _strings(area % ("A", "A"), names),
        val=NumDataSource(
            numRef=_number_reference(area % ("B", "B"), [str(tally.calls) for tally in tallies], "#,##0")
        ),
        spPr=GraphicalProperties(solidFill=_COLOUR),
        invertIfNegative=False,
    )
    chart = BarChart(barDir="col" if upright else "bar", gapWidth=45, ser=[series])
    chart.width, chart.height = _WIDTH, rows * _ROW_HEIGHT  # type: ignore[assignment]  # the stubs say int
    chart.title = _title(title)
    chart.legend = None
    chart.graphical_properties = GraphicalProperties(ln=LineProperties(solidFill=_LINES))
    chart.x_axis.delete = False  # openpyxl 3.1 leaves the element out, and newer Excels then hide the axis
    chart.x_axis.txPr = _small_text()
    chart.x_axis.majorTickMark = "none"
    chart.x_axis.graphicalProperties = GraphicalProperties(ln=LineProperties(solidFill="98A2B3"))
    chart.y_axis.scaling.min = 0
    chart.y_axis.number_format = "#,##0"
    if upright:
        chart.x_axis.number_format = "00"
        chart.y_axis.delete = False
        chart.y_axis.txPr = _small_text()
        chart.y_axis.graphicalProperties = GraphicalProperties(ln=LineProperties(noFill=True))
        chart.y_axis.majorGridlines = ChartLines(spPr=GraphicalProperties(ln=LineProperties(solidFill=_LINES)))
    else:
        chart.x_axis.scaling.orientation = "maxMin"  # the first name on top
        chart.y_axis.delete = True
        chart.y_axis.majorGridlines = None
        series.dLbls = DataLabelList(
            showVal=True,
            showSerName=False,
            showCatName=False,
            showLegendKey=False,
            showPercent=False,
            txPr=_small_text(),
            numFmt="#,##0",
        )
    return chart


def _strings(area: str, values: Sequence[str]) -> AxDataSource:
    points = [StrVal(idx=index, v=value) for index, value in enumerate(values)]
    return AxDataSource(strRef=StrRef(f=area, strCache=StrData(ptCount=len(points), pt=points)))


def _numbers(area: str, values: Sequence[str], number_format: str) -> AxDataSource:
    return AxDataSource(numRef=_number_reference(area, values, number_format))


def _number_reference(area: str, values: Sequence[str], number_format: str) -> NumRef:
    points = [NumVal(idx=index, v=value) for index, value in enumerate(values)]
    return NumRef(f=area, numCache=NumData(formatCode=number_format, ptCount=len(points), pt=points))


def _title(text: str) -> Title:
    style = CharacterProperties(sz=1100, b=True, solidFill="1F3864")
    run = RegularTextRun(rPr=style, t=text)
    return Title(tx=Text(rich=RichText(p=[Paragraph(pPr=ParagraphProperties(defRPr=style), r=[run])])), overlay=False)


def _small_text() -> RichText:
    properties = ParagraphProperties(defRPr=CharacterProperties(sz=800, solidFill="475467"))
    return RichText(
        bodyPr=RichTextProperties(rot=0, vert="horz"),
        p=[Paragraph(pPr=properties, endParaRPr=CharacterProperties())],
    )
