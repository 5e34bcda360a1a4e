import { type DifferencePicture, drawDifference } from '../../render/difference.ts'
import { type DistanceMatrixPicture, drawDistanceMatrix } from '../../render/distance-matrix.ts'
import { drawHeadGrid, type HeadGridPicture } from '../../render/head-grid.ts'
import { drawHeatMap, type HeatMapPicture } from '../../render/heat-map.ts'
import { drawLineChart, type LineChartPicture } from '../../render/line-chart.ts'
import { drawTrendChart, type TrendChartPicture } from '../../render/trend-chart.ts'

/** A picture before it is drawn: plain data, so that a thread can draw it. */
export type Picture =
  | { of: 'head'; picture: HeatMapPicture }
  | { of: 'heads'; picture: HeadGridPicture }
  | { of: 'distances'; picture: DistanceMatrixPicture }
  | { of: 'difference'; picture: DifferencePicture }
  | { of: 'lines'; picture: LineChartPicture }
  | { of: 'trend'; picture: TrendChartPicture }

/** @returns an SVG document */
export function drawPicture(drawn: Picture): string {
  switch (drawn.of) {
    case 'head':
      return drawHeatMap(drawn.picture)
    case 'heads':
      return drawHeadGrid(drawn.picture)
    case 'distances':
      return drawDistanceMatrix(drawn.picture)
    case 'difference':
      return drawDifference(drawn.picture)
    case 'lines':
      return drawLineChart(drawn.picture)
    case 'trend':
      return drawTrendChart(drawn.picture)
  }
}
