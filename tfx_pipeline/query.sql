-- Trips of London's bicycle hire scheme, each with the weather of its day: the 17 columns of models/bikes/features.py,
-- those that the model reads of the types in models/bikes/schema/schema.pbtxt.
--
-- BigQuery joins tables of one location only. The hires are in the EU and the weather (GSOD, NOAA's Global Surface
-- Summary of the Day) is in the US, so the weather is read from a copy in the project that runs the query, made once:
--   bq --location=EU mk --dataset noaa_gsod
--   bq mk --transfer_config --data_source=cross_region_copy --target_dataset=noaa_gsod --display_name=noaa_gsod \
--     --params='{"source_project_id": "bigquery-public-data", "source_dataset_id": "noaa_gsod"}'
WITH
  -- What to take. The scheme grew and changed: a few years make a steadier picture than all of them.
  limits AS (
    SELECT
      DATE '2017-01-01' AS first_day,
      DATE '2022-12-31' AS last_day,
      20 AS per_thousand,  -- trips kept of a thousand; a trip is always or never among them
      60 AS shortest,  -- seconds; a bicycle put back at once was broken
      86400 AS longest,  -- seconds; a bicycle kept for more than a day was lost
      '037720' AS weather_station  -- Heathrow, which reports without gaps
  ),

  -- GSOD writes what it does not know as a number that no weather reaches.
  weather AS (
    SELECT
      PARSE_DATE('%Y%m%d', CONCAT(year, mo, da)) AS day,
      NULLIF(prcp, 99.99) AS prcp,
      NULLIF(max, 9999.9) AS max,
      NULLIF(min, 9999.9) AS min,
      NULLIF(temp, 9999.9) AS temp,
      NULLIF(dewp, 9999.9) AS dewp
    FROM `noaa_gsod.gsod20*`, limits
    WHERE
      stn = weather_station
      AND CONCAT('20', _TABLE_SUFFIX) BETWEEN CAST(EXTRACT(YEAR FROM first_day) AS STRING)
        AND CAST(EXTRACT(YEAR FROM last_day) AS STRING)
  ),

  stations AS (
    SELECT
      id,
      latitude,
      longitude,
      ST_GEOGPOINT(longitude, latitude) AS place,
      ST_ASTEXT(ST_GEOGPOINT(ROUND(longitude, 2), ROUND(latitude, 2))) AS cell
    FROM `bigquery-public-data.london_bicycles.cycle_stations`
    WHERE latitude IS NOT NULL AND longitude IS NOT NULL
  ),

  -- start_date is the clock on the wall in London, though its type says UTC: no conversion here or later.
  hires AS (
    SELECT
      duration,
      start_station_id,
      end_station_id,
      IFNULL(CAST(bike_id AS STRING), 'na') AS bike_id,
      start_date
    FROM `bigquery-public-data.london_bicycles.cycle_hire`, limits
    WHERE
      DATE(start_date) BETWEEN first_day AND last_day
      AND duration BETWEEN shortest AND longest
      AND MOD(ABS(MOD(FARM_FINGERPRINT(CAST(rental_id AS STRING)), 1000000)), 1000) < per_thousand
  )

SELECT
  hires.duration AS duration,
  hires.end_station_id AS end_station_id,
  hires.bike_id AS bike_id,
  CAST(UNIX_SECONDS(hires.start_date) AS FLOAT64) AS ts,
  EXTRACT(DAYOFWEEK FROM hires.start_date) AS day_of_week,
  hires.start_station_id AS start_station_id,
  origin.latitude AS start_latitude,
  origin.longitude AS start_longitude,
  destination.latitude AS end_latitude,
  destination.longitude AS end_longitude,
  ST_DISTANCE(origin.place, destination.place) AS euclidean,
  CONCAT(origin.cell, destination.cell) AS loc_cross,
  weather.prcp AS prcp,
  weather.max AS `max`,
  weather.min AS `min`,
  weather.temp AS temp,
  weather.dewp AS dewp
FROM hires
JOIN stations AS origin ON origin.id = hires.start_station_id
JOIN stations AS destination ON destination.id = hires.end_station_id
JOIN weather ON weather.day = DATE(hires.start_date)
